//! The shared library, loaded as a framework is.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use objc2::rc::autoreleasepool;
use objc2::runtime::{AnyClass, AnyObject};
use objc2_foundation::{NSDictionary, NSNumber, NSString};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;

type Create = unsafe extern "C" fn(*const AnyObject) -> *mut c_void;
type Size = unsafe extern "C" fn(*mut c_void) -> usize;
type Release = unsafe extern "C" fn(*mut c_void);

#[test]
fn loading_the_library_brings_classes_functions_and_keys() {
    gnustep_shim::link();
    assert!(
        AnyClass::get(c"_ANEClient").is_none(),
        "linking registers nothing"
    );
    let path = neuralengine_standin::library_path().unwrap();
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a C string; loading registers classes and nothing else.
    let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
    assert!(!library.is_null());
    for name in [
        c"_ANEClient",
        c"_ANEInMemoryModel",
        c"_ANEModel",
        c"IOSurface",
    ] {
        assert!(AnyClass::get(name).is_some(), "{name:?}");
    }
    let symbol = |name: &CStr| {
        // SAFETY: the library is loaded, the name a C string.
        let found = unsafe { dlsym(library, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        found
    };
    autoreleasepool(|_| {
        let key = |name| {
            // SAFETY: a key is a pointer to a string that is never released.
            unsafe { &**symbol(name).cast::<*const NSString>() }
        };
        let keys = [key(c"kIOSurfaceHeight"), key(c"kIOSurfaceWidth")];
        let values = [4_u64, 64].map(NSNumber::new_u64);
        let properties = NSDictionary::from_retained_objects(&keys, &values);
        // SAFETY: the functions have these types; the surface is released once.
        unsafe {
            let create = std::mem::transmute::<*mut c_void, Create>(symbol(c"IOSurfaceCreate"));
            let size = std::mem::transmute::<*mut c_void, Size>(symbol(c"IOSurfaceGetAllocSize"));
            let release = std::mem::transmute::<*mut c_void, Release>(symbol(c"CFRelease"));
            let surface = create(std::ptr::from_ref(&*properties).cast());
            assert_eq!(size(surface), 256);
            release(surface);
        }
    });
}
