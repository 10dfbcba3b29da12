//! The parent's side of a buffer: shared memory that holds what the host last wrote, or what it asked to read.
//!
//! The worker has the device's own buffer. Nothing is copied between the two until somebody needs it: what the host
//! wrote goes to the device before the next execution that reads it, and what the device wrote comes to the host when it
//! looks. State that only programs read and write therefore never leaves the device.

use super::{
    session::Session,
    shared_memory::{Mapping, Span},
};
use ane_engine::{Access, Foreign};
use std::{
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Which of the two sides is newer. Changed only by who has exclusive access to the buffer.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The host wrote since the device last saw it.
    dirty: AtomicBool,
    /// The device wrote since the host last saw it.
    stale: AtomicBool,
    /// The host looked since the device last wrote.
    looked: AtomicBool,
}

impl Flags {
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Whether the host looked at what the device wrote last, so that it will look at the next as well.
    pub(super) fn was_looked_at(&self) -> bool {
        self.looked.load(Ordering::Acquire)
    }

    /// Both sides hold the same.
    pub(super) fn now_equal(&self) {
        self.dirty.store(false, Ordering::Release);
        self.stale.store(false, Ordering::Release);
    }

    /// The device wrote, and the host has a copy if `fetched`.
    pub(super) fn device_wrote(&self, fetched: bool) {
        self.dirty.store(false, Ordering::Release);
        self.stale.store(!fetched, Ordering::Release);
        self.looked.store(false, Ordering::Release);
    }

    /// A new device knows only what the host has.
    pub(super) fn device_forgot(&self) {
        self.dirty.store(true, Ordering::Release);
        self.stale.store(false, Ordering::Release);
    }

    fn host_looks(&self) {
        self.looked.store(true, Ordering::Release);
    }

    fn host_wrote(&self) {
        self.dirty.store(true, Ordering::Release);
    }
}

/// Memory of a supervised device's buffer in this process.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) number: u64,
    pub(super) flags: Arc<Flags>,
    session: Arc<Session>,
    /// `None` only while dropped.
    mapping: Option<Mapping>,
    span: Span,
}

impl Mirror {
    pub(super) fn new(
        session: Arc<Session>,
        number: u64,
        flags: Arc<Flags>,
        span: Span,
        mapping: Mapping,
    ) -> Self {
        Self {
            number,
            flags,
            session,
            mapping: Some(mapping),
            span,
        }
    }

    /// Whether the buffer belongs to that session.
    pub(super) fn is_of(&self, session: &Arc<Session>) -> bool {
        Arc::ptr_eq(&self.session, session)
    }

    fn mapping(&self) -> &Mapping {
        self.mapping.as_ref().expect("unmapped by `drop` alone")
    }
}

// SAFETY: the span is mapped until the mirror is dropped and handed out once. The worker touches it only while it works
// on a request that names the buffer; executions have the buffer lent, and the request to fetch is made by the access.
unsafe impl Foreign for Mirror {
    fn start(&self) -> NonNull<u8> {
        self.mapping().start()
    }

    fn bytes(&self) -> usize {
        self.mapping().bytes()
    }

    fn begin(&self, access: Access) {
        if access == Access::Read {
            self.flags.host_looks();
        }
        // Who writes a part keeps the rest, so writing too needs what the device has.
        if self.flags.is_stale() {
            self.session.fetch(self.number, &self.flags);
        }
    }

    fn end(&self, access: Access) {
        if access == Access::Write {
            self.flags.host_wrote();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        drop(self.mapping.take());
        self.session.forget_buffer(self.number, self.span);
    }
}
