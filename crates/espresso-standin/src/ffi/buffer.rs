//! C functions: buffers.

use super::{answer, give, give_handle, handle, take_back};
use std::ffi::c_void;

/// Zeroed memory of `size` bytes; type 0 processor, 1 not known, 2 IOSurface.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_buffer_object_alloc(
    out: *mut *mut c_void,
    size: u64,
    kind: u32,
) -> i64 {
    answer("e5rt_buffer_object_alloc", |runtime| {
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || runtime.buffer_alloc(size, kind)) }
    })
}

/// Where the memory starts. It may be used while a handle or a binding keeps it, and no execution that it is bound to runs.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_buffer_object_get_data_ptr(
    buffer: *mut c_void,
    out: *mut *mut c_void,
) -> i64 {
    answer("e5rt_buffer_object_get_data_ptr", |runtime| {
        let buffer = handle(buffer, "buffer")?;
        // SAFETY: the caller says that `out` can be written.
        unsafe {
            give(out, runtime, || {
                Ok(runtime.buffer_data_ptr(buffer)?.as_ptr().cast())
            })
        }
    })
}

/// Its size in bytes.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_buffer_object_get_size(buffer: *mut c_void, out: *mut u64) -> i64 {
    answer("e5rt_buffer_object_get_size", |runtime| {
        let buffer = handle(buffer, "buffer")?;
        // SAFETY: the caller says that `out` can be written.
        unsafe { give(out, runtime, || runtime.buffer_size(buffer)) }
    })
}

/// Gives back a buffer.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_buffer_object_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_buffer_object_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.buffer_release(held)) }
    })
}
