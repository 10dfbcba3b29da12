//! Memory for what programs leave behind while they run.

use crate::arena::SharedBuffer;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory for intermediate values, shared by programs that never run at once: a run's training, its evaluation, both
/// bindings of a fused step. It is as large as the most demanding of them needs; clones share it.
///
/// An execution has the workspace to itself: a second one waits.
#[derive(Debug, Clone)]
pub struct Workspace(Arc<Mutex<SharedBuffer>>);

impl Default for Workspace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(SharedBuffer::new(0))))
    }
}

impl Workspace {
    /// An empty workspace, which grows when programs are bound to it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing that needs memory was bound to it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `bytes`.
    pub(crate) fn reserve(&self, bytes: usize) {
        let mut memory = self.lock();
        if memory.len() < bytes {
            // The old memory goes first, so that both are never there together: nothing in it outlives an execution.
            *memory = SharedBuffer::new(0);
            *memory = SharedBuffer::new(bytes);
        }
    }

    /// The memory, for one execution.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SharedBuffer> {
        // A task that panicked leaves values half written, which the next execution does not read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
