//! IOSurface.

use crate::framework::{InMemory, Surface, binary, number, request};
use neuralengine_standin::iosurface::{
    CFRelease, CFRetain, IOSurfaceCreate, IOSurfaceGetAllocSize, IOSurfaceGetBaseAddress,
    IOSurfaceGetBytesPerRow, IOSurfaceGetHeight, IOSurfaceGetPixelFormat, IOSurfaceGetWidth,
    IOSurfaceLock, IOSurfaceUnlock, kIOSurfaceHeight, kIOSurfaceWidth,
};
use objc2::rc::Retained;
use objc2::runtime::AnyObject;
use objc2_foundation::{NSDictionary, NSString};
use std::ptr::null_mut;

#[test]
fn a_surface_has_what_was_asked_for() {
    let surface = Surface::of(40, 7, 128, 16 * 1024).unwrap();
    // SAFETY: the surface lives.
    unsafe {
        assert_eq!(IOSurfaceGetWidth(surface.0), 40);
        assert_eq!(IOSurfaceGetHeight(surface.0), 7);
        assert_eq!(IOSurfaceGetBytesPerRow(surface.0), 128);
        assert_eq!(IOSurfaceGetAllocSize(surface.0), 16 * 1024);
        assert_eq!(IOSurfaceGetPixelFormat(surface.0), 0x4c30_3068);
        assert_eq!(IOSurfaceGetWidth(null_mut()), 0);
    }
    assert_eq!(surface.bits(), Some(0), "new surfaces are zero");
}

#[test]
fn properties_that_contradict_themselves_make_no_surface() {
    assert!(Surface::of(0, 1, 64, 64).is_none());
    assert!(Surface::of(33, 2, 64, 128).is_none());
    assert!(Surface::of(32, 2, 64, 127).is_none());
    assert!(Surface::of(32, 32_769, 64, 1 << 22).is_none());
    assert!(Surface::of(32, 32_768, 64, 1 << 22).is_some());
    // SAFETY: nil is allowed.
    assert!(unsafe { IOSurfaceCreate(null_mut()) }.is_null());
}

#[test]
fn the_exported_keys_are_strings() {
    neuralengine_standin::register();
    let key = |place: *const neuralengine_standin::iosurface::Key| {
        // SAFETY: a key is a pointer to a string that is never released.
        unsafe { &**place.cast::<*const NSString>() }
    };
    let keys = [
        key(&raw const kIOSurfaceHeight),
        key(&raw const kIOSurfaceWidth),
    ];
    assert_eq!(
        keys.map(ToString::to_string),
        ["IOSurfaceHeight", "IOSurfaceWidth"]
    );
    let properties = NSDictionary::from_retained_objects(&keys, &[number(4), number(8)]);
    let properties: Retained<AnyObject> = properties.into();
    // SAFETY: a live dictionary; the surface is released once.
    unsafe {
        let surface = IOSurfaceCreate(Retained::as_ptr(&properties).cast_mut());
        assert_eq!(IOSurfaceGetAllocSize(surface), 32);
        CFRelease(surface.cast());
    }
}

#[test]
fn the_address_is_given_while_locked_and_stays() {
    let surface = Surface::small();
    // SAFETY: the surface lives.
    unsafe {
        assert!(IOSurfaceGetBaseAddress(surface.0).is_null());
        assert_eq!(IOSurfaceLock(surface.0, 0, null_mut()), 0);
        assert_eq!(IOSurfaceLock(surface.0, 1, null_mut()), 0);
        let address = IOSurfaceGetBaseAddress(surface.0);
        assert!(address.addr().is_multiple_of(16 * 1024) && !address.is_null());
        assert_eq!(IOSurfaceUnlock(surface.0, 1, null_mut()), 0);
        assert_eq!(IOSurfaceGetBaseAddress(surface.0), address);
        assert_eq!(IOSurfaceUnlock(surface.0, 0, null_mut()), 0);
        assert_ne!(IOSurfaceUnlock(surface.0, 0, null_mut()), 0);
        assert_ne!(IOSurfaceLock(null_mut(), 0, null_mut()), 0);
    }
}

#[test]
fn a_lock_is_undone_with_its_own_options() {
    let surface = Surface::small();
    // SAFETY: the surface lives.
    unsafe {
        assert_eq!(IOSurfaceLock(surface.0, 1, null_mut()), 0);
        assert_ne!(IOSurfaceUnlock(surface.0, 0, null_mut()), 0);
        assert!(
            !IOSurfaceGetBaseAddress(surface.0).is_null(),
            "still locked"
        );
        assert_eq!(IOSurfaceUnlock(surface.0, 1, null_mut()), 0);
        assert!(IOSurfaceGetBaseAddress(surface.0).is_null());
    }
}

#[test]
fn writing_under_a_lock_for_reading_is_noticed() {
    let surface = Surface::small();
    let write_under = |options: &[u32]| {
        // SAFETY: the surface lives, and has more than one byte.
        unsafe {
            for options in options {
                assert_eq!(IOSurfaceLock(surface.0, *options, null_mut()), 0);
            }
            let start: *mut u8 = IOSurfaceGetBaseAddress(surface.0).cast();
            start.write(start.read() + 1);
            let codes: Vec<i32> = options
                .iter()
                .map(|options| IOSurfaceUnlock(surface.0, *options, null_mut()))
                .collect();
            assert!(IOSurfaceGetBaseAddress(surface.0).is_null());
            codes
        }
    };
    let not_writable = 0xE000_02CF_u32 as i32;
    assert_eq!(write_under(&[1]), [not_writable]);
    assert_eq!(write_under(&[0]), [0]);
    assert_eq!(write_under(&[1, 0]), [0, 0]);
    assert_eq!(write_under(&[0, 1]), [0, 0]);
}

#[test]
fn a_locked_surface_is_not_evaluated() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    let (x, y) = (Surface::filled(0x3C00), Surface::small());
    let request = request(&[(0, &x), (1, &x)], &[(0, &y)]);
    // SAFETY: the surface lives.
    unsafe { IOSurfaceLock(y.0, 0, null_mut()) };
    assert_eq!(model.evaluate(&request).unwrap_err().0, 13);
    // SAFETY: as above.
    unsafe { IOSurfaceUnlock(y.0, 0, null_mut()) };
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(0x4000));
}

#[test]
fn requests_and_references_keep_a_surface() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    let y = Surface::small();
    let request = {
        let x = Surface::filled(0x3C00);
        request(&[(0, &x), (1, &x)], &[(0, &y)])
    };
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(0x4000));
    // SAFETY: the reference taken is the one given back.
    unsafe { CFRelease(CFRetain(y.0.cast())) };
    assert_eq!(y.bits(), Some(0x4000));
}
