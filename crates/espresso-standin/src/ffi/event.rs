//! C functions: asynchronous events.

use super::{answer, give, give_handle, handle, take_back, text};
use std::ffi::{c_char, c_void};

/// An event whose last signalled value is `initial`.
///
/// # Safety
/// `out` is null or valid for writing; texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_async_event_create(
    out: *mut *mut c_void,
    name: *const c_char,
    initial: u32,
) -> i64 {
    answer("e5rt_async_event_create", |runtime| {
        // SAFETY: the caller says that it is text.
        let name = unsafe { text(name, "name", runtime) }?;
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || Ok(runtime.event_create(name, initial))) }
    })
}

/// Raises the signalled value by one.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_async_event_signal(event: *mut c_void) -> i64 {
    answer("e5rt_async_event_signal", |runtime| {
        let event = handle(event, "event")?;
        runtime.event_signal(event)
    })
}

/// Waits until everything that is due has been signalled.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_async_event_sync_wait(event: *mut c_void) -> i64 {
    answer("e5rt_async_event_sync_wait", |runtime| {
        let event = handle(event, "event")?;
        runtime.event_sync_wait(event)
    })
}

/// The last signalled value.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_async_event_get_last_signaled_value(
    event: *mut c_void,
    out: *mut u64,
) -> i64 {
    answer("e5rt_async_event_get_last_signaled_value", |runtime| {
        let event = handle(event, "event")?;
        // SAFETY: the caller says that `out` can be written.
        unsafe { give(out, runtime, || runtime.event_last_signaled_value(event)) }
    })
}

/// Gives back an event.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_async_event_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_async_event_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.event_release(held)) }
    })
}
