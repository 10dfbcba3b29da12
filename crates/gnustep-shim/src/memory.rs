//! Reference counts and autorelease pools, as messages to the objects.

use crate::send::{Id, Selector};
use std::ffi::c_char;
use std::sync::Once;

static ALLOC: Selector = Selector::new(c"alloc");
static AUTORELEASE: Selector = Selector::new(c"autorelease");
static INIT: Selector = Selector::new(c"init");
static RELEASE: Selector = Selector::new(c"release");
static RETAIN: Selector = Selector::new(c"retain");

unsafe extern "C-unwind" {
    fn objc_getClass(name: *const c_char) -> Id;
}

/// # Safety
/// `object` is nil or live.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn objc_retain(object: Id) -> Id {
    // SAFETY: the caller's promise.
    unsafe { RETAIN.send(object) }
}

/// # Safety
/// `object` is nil, or live and one of its references is the caller's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_release(object: Id) {
    // SAFETY: the caller's promise.
    unsafe { RELEASE.send(object) };
}

/// # Safety
/// As for `objc_release`.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_autorelease(object: Id) -> Id {
    // SAFETY: the caller's promise.
    unsafe { AUTORELEASE.send(object) }
}

/// # Safety
/// As for `objc_release`.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_autoreleaseReturnValue(object: Id) -> Id {
    // SAFETY: the caller's promise.
    unsafe { AUTORELEASE.send(object) }
}

/// # Safety
/// `object` is nil or live.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_retainAutorelease(object: Id) -> Id {
    // SAFETY: the reference that is autoreleased is the one just taken.
    unsafe { AUTORELEASE.send(RETAIN.send(object)) }
}

/// # Safety
/// `object` is nil or live.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_retainAutoreleaseReturnValue(object: Id) -> Id {
    // SAFETY: the caller's promise.
    unsafe { objc_retainAutorelease(object) }
}

/// # Safety
/// `object` is nil or live.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_retainAutoreleasedReturnValue(object: Id) -> Id {
    // SAFETY: the caller's promise.
    unsafe { RETAIN.send(object) }
}

/// A pool made by `alloc` and `init`.
///
/// `+[NSAutoreleasePool new]` of gnustep-base fills two static variables without a lock, and threads that race through its
/// first call can jump to address 0. It is never called here, and one thread alone makes the first pool.
fn pool() -> Id {
    // SAFETY: the class is GNUstep's; `alloc` and `init` take nothing and return the object.
    let make = || unsafe { INIT.send(ALLOC.send(objc_getClass(c"NSAutoreleasePool".as_ptr()))) };
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        // SAFETY: the pool was just made.
        unsafe { RELEASE.send(make()) };
    });
    make()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn objc_autoreleasePoolPush() -> Id {
    pool()
}

/// # Safety
/// `pool` comes from `objc_autoreleasePoolPush` on this thread and is the innermost that is left.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn objc_autoreleasePoolPop(pool: Id) {
    // SAFETY: the caller's promise; releasing a pool drains it.
    unsafe { RELEASE.send(pool) };
}
