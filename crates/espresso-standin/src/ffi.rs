//! The C functions: pointers to handles, texts and places for results, errors to codes.
//!
//! Every function returns 0 or the code of an [`E5rtError`]. On an error nothing has been written through any pointer.
//! A pointer that must lead to the caller's memory is refused when it is null, is not aligned, or is a handle: arguments
//! in the wrong order are then an error where they can be told. Releasing writes null into the caller's variable.

mod buffer;
mod compiler;
mod event;
mod operation;
mod stream;

pub use buffer::*;
pub use compiler::*;
pub use event::*;
pub use operation::*;
pub use stream::*;

use crate::{error::E5rtError, handles::Handle, runtime::Runtime};
use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

/// Name of the library in its log.
const LIBRARY: &str = "espresso-standin";

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// [`e5rt_get_last_error_message`] for Rust programs that link this crate.
pub fn last_error() -> Option<String> {
    LAST_ERROR.with_borrow(|text| match text.to_string_lossy() {
        text if text.is_empty() => None,
        text => Some(text.into_owned()),
    })
}

/// Why the last call on this thread that failed did so; empty when none did. The text stays until another call fails.
#[unsafe(no_mangle)]
pub extern "C" fn e5rt_get_last_error_message() -> *const c_char {
    LAST_ERROR.with_borrow(|text| text.as_ptr())
}

/// Runs the body of a C function and makes a code of its outcome.
fn answer(function: &str, body: impl FnOnce(&'static Runtime) -> Result<(), E5rtError>) -> i64 {
    let outcome = catch_unwind(AssertUnwindSafe(|| body(Runtime::global()?)));
    let Err(error) = outcome.unwrap_or(Err(E5rtError::Panic)) else {
        return 0;
    };
    let line = format!("{function}: {error}");
    match Runtime::global() {
        Ok(runtime) => runtime.environment.log(LIBRARY, &line),
        Err(_) => eprintln!("{LIBRARY}: {line}"),
    }
    LAST_ERROR.set(CString::new(line.replace('\0', "")).unwrap_or_default());
    error.code()
}

fn handle(pointer: *mut c_void, argument: &'static str) -> Result<Handle, E5rtError> {
    match pointer.addr() {
        0 => Err(E5rtError::Null { argument }),
        address => Ok(Handle(address)),
    }
}

/// Checks a pointer into the caller's memory as far as that is possible.
fn place<T>(pointer: *const T, argument: &'static str, runtime: &Runtime) -> Result<(), E5rtError> {
    if pointer.is_null() {
        return Err(E5rtError::Null { argument });
    }
    if !pointer.is_aligned() || runtime.handles.knows(pointer.addr()) {
        let found = format!("{pointer:p}");
        return Err(E5rtError::value(
            argument,
            found,
            "an address of the caller",
        ));
    }
    Ok(())
}

/// Writes a result to the caller, once it is there.
///
/// # Safety
/// A pointer that [`place`] accepts must be valid for writing.
unsafe fn give<T>(
    out: *mut T,
    runtime: &Runtime,
    result: impl FnOnce() -> Result<T, E5rtError>,
) -> Result<(), E5rtError> {
    place(out, "out", runtime)?;
    let result = result()?;
    // SAFETY: the caller says so.
    unsafe { out.write(result) };
    Ok(())
}

/// As [`give`], for a new handle.
///
/// # Safety
/// As [`give`].
unsafe fn give_handle(
    out: *mut *mut c_void,
    runtime: &Runtime,
    result: impl FnOnce() -> Result<Handle, E5rtError>,
) -> Result<(), E5rtError> {
    let pointer = || Ok(ptr::without_provenance_mut(result()?.0));
    // SAFETY: passed on from the caller.
    unsafe { give(out, runtime, pointer) }
}

/// Releases the handle in the caller's variable and clears it.
///
/// # Safety
/// A pointer that [`place`] accepts must be valid for reading and writing.
unsafe fn take_back(
    object: *mut *mut c_void,
    runtime: &Runtime,
    release: impl FnOnce(Handle) -> Result<(), E5rtError>,
) -> Result<(), E5rtError> {
    place(object, "object", runtime)?;
    // SAFETY: the caller says so.
    let held = unsafe { object.read() };
    release(handle(held, "*object")?)?;
    // SAFETY: as above.
    unsafe { object.write(ptr::null_mut()) };
    Ok(())
}

/// The caller's text.
///
/// # Safety
/// A pointer that [`place`] accepts must lead to text that ends with a zero byte and stays for `'a`.
unsafe fn text<'a>(
    pointer: *const c_char,
    argument: &'static str,
    runtime: &Runtime,
) -> Result<&'a str, E5rtError> {
    place(pointer, argument, runtime)?;
    // SAFETY: the caller says so.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|_| E5rtError::value(argument, "no UTF-8", "text in UTF-8"))
}
