//! Classes in the Objective-C runtime, with the type encodings of the real ones.
//!
//! objc2 makes the classes and keeps their instance variables; it would also derive encodings, but not the real ones:
//! without stack offsets, and with GNUstep's BOOL. So methods are added here, each with its literal encoding.

use crate::classes;
use crate::surface::functions;
use objc2::ffi;
use objc2::rc::Retained;
use objc2::rc::autoreleasepool;
use objc2::runtime::{AnyClass, AnyObject, Imp, NSObject, Sel};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A method: selector, type encoding, and the function.
pub(crate) struct Method(
    pub(crate) &'static CStr,
    pub(crate) &'static CStr,
    pub(crate) *const (),
);

/// Adds instance and class methods to a class.
///
/// # Safety
/// Every function has the type that its encoding says, and is `extern "C-unwind"`.
pub(crate) unsafe fn add(class: &AnyClass, instance: &[Method], of_class: &[Method]) {
    for (to, methods) in [(class, instance), (class.metaclass(), of_class)] {
        for Method(selector, types, function) in methods {
            // SAFETY: a function's address; the type is only a carrier.
            let function = unsafe { std::mem::transmute::<*const (), Imp>(*function) };
            let class = std::ptr::from_ref(to).cast_mut();
            // SAFETY: the class is registered, the encoding a C string; the rest is the caller's promise.
            unsafe {
                ffi::class_addMethod(class, Sel::register(selector), function, types.as_ptr())
            };
        }
    }
}

/// Gives back an object that was allocated by a message, and answers nil: what `init` does in a class that has factories.
pub(crate) extern "C-unwind" fn no_init(this: *mut AnyObject, _: Sel) -> *mut AnyObject {
    // SAFETY: `init` owns the reference that `alloc` returned.
    unsafe { ffi::objc_release(this) };
    std::ptr::null_mut()
}

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Part of every object of these classes: counts it.
#[derive(Debug)]
pub(crate) struct Live(());

impl Live {
    pub(crate) fn new() -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // As real objects do while they are released, so that releasing without a pool leaks, and is logged.
        let _ = Retained::autorelease_ptr(NSObject::new());
    }
}

/// How many objects of these classes live in this process, surfaces included, the shared client not.
pub fn live_objects() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Registers the classes, once. Loading the library does it; a program that is linked with this crate instead calls it
/// before it looks for a class. One program does one or the other: a name has one class.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gnustep_shim::link();
        if AnyClass::get(c"_ANEClient").is_some() {
            eprintln!("neuralengine-standin: there are classes of these names already");
            return;
        }
        classes::register();
        autoreleasepool(|_| functions::fill_keys());
    });
}

/// What `dladdr` tells of an address.
#[repr(C)]
struct Place {
    file: *const c_char,
    base: *const c_void,
    symbol: *const c_char,
    symbol_address: *const c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, place: *mut Place) -> c_int;
}

/// Whether this code is in a shared library, and not linked into the program.
fn is_library() -> bool {
    let mut place = Place {
        file: std::ptr::null(),
        base: std::ptr::null(),
        symbol: std::ptr::null(),
        symbol_address: std::ptr::null(),
    };
    // SAFETY: the place is there to be filled.
    let found = unsafe { dladdr(register as *const c_void, &raw mut place) };
    if found == 0 || place.file.is_null() {
        return false;
    }
    // SAFETY: the loader's own string, which lives as long as the library.
    unsafe { CStr::from_ptr(place.file) }
        .to_bytes()
        .ends_with(b".so")
}

/// Runs when the library is loaded, as the runtime registers a framework's classes then.
#[used]
#[unsafe(link_section = ".init_array")]
static REGISTER: extern "C" fn() = {
    extern "C" fn on_load() {
        if is_library() {
            register();
        }
    }
    on_load
};
