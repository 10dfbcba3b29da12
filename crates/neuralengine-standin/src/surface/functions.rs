//! The C functions of IOSurface, and the two of CoreFoundation that count references.

use super::{BadUnlock, IOSurface, Memory, Shape};
use crate::plist::{self, entry, value};
use objc2::ffi;
use objc2::rc::Retained;
use objc2::runtime::AnyObject;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Rows that a surface can have at most (turbocider, M4 Max).
const MAX_HEIGHT: usize = 32_768;

/// `kIOReturnBadArgument`.
const BAD_ARGUMENT: i32 = 0xE000_02C2_u32 as i32;
/// `kIOReturnNotOpen`, for unlocking what is not locked.
const NOT_LOCKED: i32 = 0xE000_02CD_u32 as i32;

/// `kIOReturnNotWritable`, for what was changed under a lock for reading alone.
const NOT_WRITABLE: i32 = 0xE000_02CF_u32 as i32;

/// A constant string, as the framework exports it: a pointer to an object, filled when the library is loaded.
#[repr(transparent)]
#[derive(Debug)]
pub struct Key(AtomicPtr<AnyObject>);

macro_rules! keys {
    ($($symbol:ident = $text:literal;)+) => {
        $(
            #[doc = concat!("The property `", $text, "`.")]
            #[allow(non_upper_case_globals)]
            #[unsafe(no_mangle)]
            pub static $symbol: Key = Key(AtomicPtr::new(std::ptr::null_mut()));
        )+

        /// Makes the strings that the exported pointers point to.
        pub(crate) fn fill_keys() {
            $( $symbol.0.store(Retained::into_raw(plist::string($text)), Ordering::Release); )+
        }
    };
}

keys! {
    kIOSurfaceAllocSize = "IOSurfaceAllocSize";
    kIOSurfaceBytesPerElement = "IOSurfaceBytesPerElement";
    kIOSurfaceBytesPerRow = "IOSurfaceBytesPerRow";
    kIOSurfaceHeight = "IOSurfaceHeight";
    kIOSurfacePixelFormat = "IOSurfacePixelFormat";
    kIOSurfaceWidth = "IOSurfaceWidth";
}

/// What the properties ask for; `None` when they contradict themselves.
fn shape(properties: Option<&AnyObject>) -> Option<Shape> {
    let property = |key: &str| -> Option<Option<usize>> {
        match entry(properties, key) {
            None => Some(None),
            Some(object) => value(Some(&object))
                .and_then(|n| usize::try_from(n).ok())
                .map(Some),
        }
    };
    let width = property("IOSurfaceWidth")??;
    let height = property("IOSurfaceHeight")??;
    let bytes_per_element = property("IOSurfaceBytesPerElement")?.unwrap_or(1);
    let smallest_row = width.checked_mul(bytes_per_element)?;
    let bytes_per_row = property("IOSurfaceBytesPerRow")?.unwrap_or(smallest_row);
    let smallest = bytes_per_row.checked_mul(height)?;
    let bytes = property("IOSurfaceAllocSize")?.unwrap_or(smallest);
    let pixel_format = property("IOSurfacePixelFormat")?.unwrap_or(0);
    let is_possible = smallest_row > 0
        && height > 0
        && height <= MAX_HEIGHT
        && bytes_per_row >= smallest_row
        && bytes >= smallest;
    is_possible.then_some(Shape {
        width,
        height,
        bytes_per_element,
        bytes_per_row,
        bytes,
        pixel_format: u32::try_from(pixel_format).ok()?,
    })
}

/// A zeroed surface with the properties of a dictionary, owned by the caller; null when they contradict themselves or
/// the memory cannot be had. Width and height are needed; there are at most 32,768 rows.
///
/// # Safety
/// `properties` is nil or a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IOSurfaceCreate(properties: *mut AnyObject) -> *mut c_void {
    // SAFETY: the caller's promise.
    let properties = unsafe { properties.as_ref() };
    let Some(memory) = shape(properties).and_then(Memory::new) else {
        crate::daemon::log(&format!(
            "no surface can have the properties {properties:?}"
        ));
        return std::ptr::null_mut();
    };
    Retained::into_raw(IOSurface::new(memory)).cast()
}

/// The surface behind a reference; `None` for null.
///
/// # Safety
/// `surface` is null or a live surface.
unsafe fn memory<'a>(surface: *mut c_void) -> Option<&'a Memory> {
    // SAFETY: the caller's promise.
    unsafe { surface.cast::<IOSurface>().as_ref() }.map(|surface| &**surface.memory())
}

/// Locks for the processor, after evaluations under way; locks count. `options` is 1 for reading alone.
///
/// # Safety
/// `surface` is null or a live surface; `seed` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IOSurfaceLock(surface: *mut c_void, options: u32, seed: *mut u32) -> i32 {
    let _ = seed;
    // SAFETY: the caller's promise.
    let Some(memory) = (unsafe { memory(surface) }) else {
        return BAD_ARGUMENT;
    };
    memory.lock(options);
    0
}

/// Undoes a lock of the same options; fails when there is none, or when bytes were changed under a lock for reading.
///
/// # Safety
/// As for [`IOSurfaceLock`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IOSurfaceUnlock(
    surface: *mut c_void,
    options: u32,
    seed: *mut u32,
) -> i32 {
    let _ = seed;
    // SAFETY: the caller's promise.
    let Some(memory) = (unsafe { memory(surface) }) else {
        return BAD_ARGUMENT;
    };
    let (code, reason) = match memory.unlock(options) {
        Ok(()) => return 0,
        Err(BadUnlock::NotLocked) => (NOT_LOCKED, "that is not locked"),
        Err(BadUnlock::OtherOptions) => (BAD_ARGUMENT, "with other options than it was locked"),
        Err(BadUnlock::Changed) => (NOT_WRITABLE, "that was changed under a lock for reading"),
    };
    crate::daemon::log(&format!("a surface is unlocked {reason}"));
    code
}

/// Where a locked surface starts; it stays there. Null, and a line in the log, for one that is not locked.
///
/// # Safety
/// `surface` is null or a live surface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IOSurfaceGetBaseAddress(surface: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's promise.
    let address = unsafe { memory(surface) }.and_then(Memory::base_address);
    address.map_or_else(
        || {
            crate::daemon::log("the address of a surface is asked for that is not locked");
            std::ptr::null_mut()
        },
        |start| start.as_ptr().cast(),
    )
}

macro_rules! getters {
    ($($(#[$doc:meta])+ $name:ident: $ty:ty = $field:ident;)+) => {
        $(
            $(#[$doc])+
            ///
            /// # Safety
            /// `surface` is null or a live surface.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(surface: *mut c_void) -> $ty {
                // SAFETY: the caller's promise.
                unsafe { memory(surface) }.map_or(0, |memory| memory.shape().$field)
            }
        )+
    };
}

getters! {
    /// Bytes of the memory; 0 for null.
    IOSurfaceGetAllocSize: usize = bytes;
    /// Bytes of an element; 0 for null.
    IOSurfaceGetBytesPerElement: usize = bytes_per_element;
    /// Distance of rows in bytes; 0 for null.
    IOSurfaceGetBytesPerRow: usize = bytes_per_row;
    /// Rows; 0 for null.
    IOSurfaceGetHeight: usize = height;
    /// Four characters, or 0.
    IOSurfaceGetPixelFormat: u32 = pixel_format;
    /// Elements of a row; 0 for null.
    IOSurfaceGetWidth: usize = width;
}

/// Takes a reference and returns the object.
///
/// # Safety
/// `object` is a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn CFRetain(object: *mut AnyObject) -> *mut AnyObject {
    // SAFETY: the caller's promise.
    unsafe { ffi::objc_retain(object) }
}

/// Gives a reference back.
///
/// # Safety
/// `object` is a live object, and a reference to it is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn CFRelease(object: *mut AnyObject) {
    // SAFETY: the caller's promise.
    unsafe { ffi::objc_release(object) };
}
