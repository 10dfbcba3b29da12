//! One thread at a time changes what is loaded.
//!
//! Nothing says that the connection to the daemon may compile, load and unload for several threads at once, and a
//! directory that is written for the compiler must not be removed before it was read. Such calls are rare, so every
//! thread of the process waits for its turn, whichever route and device it is of.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The turn of this thread, until dropped.
#[derive(Debug)]
pub(super) struct Turn(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Turn {
    /// Waits for it. A thread that has it must not wait for it again.
    pub(super) fn wait() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        Self(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
