//! Messages without arguments, and what GCC's runtime offers to send them.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// An object or a class.
pub(crate) type Id = *mut c_void;

type Method = unsafe extern "C-unwind" fn(Id, *const c_void) -> Id;

#[link(name = "objc")]
unsafe extern "C-unwind" {
    fn objc_msg_lookup(receiver: Id, selector: *const c_void) -> Method;
    fn sel_registerName(name: *const c_char) -> *const c_void;
}

/// A selector without arguments, registered when it is first used.
pub(crate) struct Selector {
    name: &'static CStr,
    registered: AtomicPtr<c_void>,
}

impl Selector {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            registered: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn get(&self) -> *const c_void {
        let known = self.registered.load(Ordering::Acquire);
        if !known.is_null() {
            return known;
        }
        // SAFETY: the name is a C string; the runtime locks its own tables.
        let new = unsafe { sel_registerName(self.name.as_ptr()) };
        self.registered.store(new.cast_mut(), Ordering::Release);
        new
    }

    /// Sends the message; nil answers nil.
    ///
    /// # Safety
    /// The receiver is nil, a live object or a class, and its method for this selector takes nothing and returns an
    /// object or nothing.
    pub(crate) unsafe fn send(&self, receiver: Id) -> Id {
        if receiver.is_null() {
            return receiver;
        }
        let selector = self.get();
        // SAFETY: the receiver is live and the selector registered; the method's type is the caller's promise.
        unsafe { objc_msg_lookup(receiver, selector)(receiver, selector) }
    }
}
