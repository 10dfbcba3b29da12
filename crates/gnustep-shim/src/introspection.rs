//! Questions about classes and methods.

use crate::send::Id;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

unsafe extern "C-unwind" {
    fn class_isMetaClass(class: Id) -> u8;
    fn objc_getClassList(buffer: *mut Id, count: c_int) -> c_int;
}

unsafe extern "C" {
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn objc_thread_add();
}

/// `dlsym`'s handle for the libraries behind this one.
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;

/// # Safety
/// `object` is nil or live.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn object_getClass(object: Id) -> Id {
    if object.is_null() {
        return object;
    }
    // SAFETY: the first word of an object of this runtime is its class.
    unsafe { *object.cast::<Id>() }
}

/// # Safety
/// `object` is nil or live.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn object_isClass(object: Id) -> u8 {
    // SAFETY: the class of a live object is a live class.
    u8::from(!object.is_null() && unsafe { class_isMetaClass(object_getClass(object)) != 0 })
}

/// # Safety
/// `count` is null or points to a number; the caller frees the list.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_copyClassList(count: *mut c_uint) -> *mut Id {
    // SAFETY: a null buffer asks for the number of classes.
    let room = unsafe { objc_getClassList(std::ptr::null_mut(), 0) };
    // SAFETY: one more than needed, zeroed, so that the list ends with null.
    let list: *mut Id = unsafe { calloc(room as usize + 1, size_of::<Id>()) }.cast();
    if list.is_null() {
        return list;
    }
    // SAFETY: the list has room for that many; classes that were added in between are left out.
    let found = unsafe { objc_getClassList(list, room) };
    if !count.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *count = found.min(room) as c_uint };
    }
    list
}

/// The type encoding of a method, with `^rv` as clang writes it, `r^v`, which is all that objc2 reads.
///
/// # Safety
/// `method` comes from the runtime.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn method_getTypeEncoding(
    method: *const c_void,
) -> *const c_char {
    type Original = unsafe extern "C-unwind" fn(*const c_void) -> *const c_char;
    static ORIGINAL: OnceLock<Option<Original>> = OnceLock::new();
    static REWRITTEN: Mutex<Option<HashMap<usize, CString>>> = Mutex::new(None);
    let original = ORIGINAL.get_or_init(|| {
        // SAFETY: the runtime's function of this name has this type; an absent one is null, which is `None`.
        unsafe { std::mem::transmute(dlsym(RTLD_NEXT, c"method_getTypeEncoding".as_ptr())) }
    });
    let Some(original) = original else {
        return std::ptr::null();
    };
    // SAFETY: the caller's promise.
    let text = unsafe { original(method) };
    if text.is_null() {
        return text;
    }
    // SAFETY: the runtime's encodings are C strings that live as long as it.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    if !bytes.windows(2).any(|pair| pair == b"^r") {
        return text;
    }
    let mut rewritten = REWRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = rewritten.get_or_insert_default().entry(text as usize);
    // The string's memory stays where it is when the map grows.
    entry.or_insert_with(|| const_pointers(bytes)).as_ptr()
}

/// Replaces `^r` by `r^`, where it can stand in front of a pointer.
fn const_pointers(encoding: &[u8]) -> CString {
    let mut bytes = encoding.to_vec();
    while let Some(at) = bytes.windows(2).position(|pair| pair == b"^r") {
        bytes[at..at + 2].copy_from_slice(b"r^");
    }
    CString::new(bytes).unwrap_or_default()
}

/// Tells the runtime of a second thread.
///
/// While it knows of one alone, it frees a dispatch table as soon as another replaces it, and it knows only of threads
/// that GNUstep started. Other threads may be reading the table.
extern "C" fn expect_threads() {
    // SAFETY: the runtime only counts.
    unsafe { objc_thread_add() };
}

#[used]
#[unsafe(link_section = ".init_array")]
static EXPECT_THREADS: extern "C" fn() = expect_threads;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_to_const_are_written_as_clang_does() {
        assert_eq!(const_pointers(b"v24@0:8^rv16").as_bytes(), b"v24@0:8r^v16");
        assert_eq!(const_pointers(b"^^rv").as_bytes(), b"r^^v");
    }
}
