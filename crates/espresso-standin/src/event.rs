//! Asynchronous events: counters that operations and the host raise and wait for.
//!
//! Public reports name the functions and say little of what they count, so this is the stand-in's reading. An event
//! holds the last signalled value, which starts at `initial`, and the value that is due. Starting an execution makes one
//! more value of an operation's completion event due, and the end of the operation signals it, also when it failed.
//! Dependents wait for what is due when their own execution is started; so does the host in `sync_wait`. An event that
//! nothing has been due on counts as pending until its first signal. A signal by the host raises the value by one.

use crate::{
    error::E5rtError,
    handles::{Handle, Kind},
    runtime::Runtime,
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Values {
    signaled: u64,
    due: u64,
}

/// A counter to wait for.
#[derive(Debug)]
pub(crate) struct AsyncEvent {
    name: String,
    first: u64,
    values: Mutex<Values>,
    raised: Condvar,
}

impl Kind for AsyncEvent {
    const NAME: &'static str = "event";
}

impl AsyncEvent {
    fn lock(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes one more value due, and returns it.
    pub(crate) fn announce(&self) -> u64 {
        let mut values = self.lock();
        values.due = values.due.max(values.signaled) + 1;
        values.due
    }

    /// What a wait that begins now waits for.
    pub(crate) fn awaited(&self) -> u64 {
        self.lock().due.max(self.first)
    }

    /// Signals one more value, at least `value`.
    pub(crate) fn raise(&self, value: u64) {
        let mut values = self.lock();
        values.signaled = (values.signaled + 1).max(value);
        self.raised.notify_all();
    }

    pub(crate) fn wait(&self, value: u64) {
        let mut values = self.lock();
        while values.signaled < value {
            values = self
                .raised
                .wait(values)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Runtime {
    /// An event whose last signalled value is `initial`.
    pub fn event_create(&self, name: &str, initial: u32) -> Handle {
        let initial = u64::from(initial);
        self.handles.insert(AsyncEvent {
            name: name.to_owned(),
            first: initial + 1,
            values: Mutex::new(Values {
                signaled: initial,
                due: initial,
            }),
            raised: Condvar::new(),
        })
    }

    /// Raises the signalled value by one.
    ///
    /// # Errors
    /// When the handle is not an event's.
    pub fn event_signal(&self, event: Handle) -> Result<(), E5rtError> {
        self.handles.get::<AsyncEvent>(event)?.raise(0);
        Ok(())
    }

    /// Waits until everything that is due has been signalled.
    ///
    /// # Errors
    /// When the handle is not an event's.
    pub fn event_sync_wait(&self, event: Handle) -> Result<(), E5rtError> {
        let event = self.handles.get::<AsyncEvent>(event)?;
        event.wait(event.awaited());
        Ok(())
    }

    /// The last signalled value.
    ///
    /// # Errors
    /// When the handle is not an event's.
    pub fn event_last_signaled_value(&self, event: Handle) -> Result<u64, E5rtError> {
        Ok(self.handles.get::<AsyncEvent>(event)?.lock().signaled)
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// When the handle is not an event's.
    pub fn event_release(&self, event: Handle) -> Result<(), E5rtError> {
        self.release::<AsyncEvent>(event)
    }
}
