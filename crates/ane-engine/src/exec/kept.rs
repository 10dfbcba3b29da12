//! Packed operands that outlive an execution, while what they were packed from stays as it is.
//!
//! Weights that do not change between executions need not be packed again: a program that runs batch after batch over
//! the same weights finds out at its second execution, and gives the packed operand memory of its own. When the buffer
//! changes that memory goes back, so that a training step, whose weights always change, never has any.

use super::Execution;
use crate::{arena::SharedBuffer, plan::KeptPack};
use std::sync::atomic::Ordering;

/// What a binding knows of one such operand.
#[derive(Debug)]
pub(super) struct Kept {
    /// The port's buffer.
    buffer: SharedBuffer,
    /// The generation of the port's buffer at the last execution.
    seen: Option<u64>,
    /// Memory of its own, filled by the first execution that had it.
    memory: Option<SharedBuffer>,
}

impl Kept {
    pub(super) fn of(buffer: SharedBuffer) -> Self {
        Self {
            buffer,
            seen: None,
            memory: None,
        }
    }

    /// All slots are in the arena again.
    pub(super) fn forget(&mut self) {
        *self = Self::of(self.buffer.clone());
    }

    /// Before an execution, with the buffers held and slots placed in `arena`.
    pub(super) fn prepare(&mut self, execution: &Execution, pack: &KeptPack, arena: *mut f32) {
        let now = self.buffer.generation();
        let unchanged = now.is_some() && now == self.seen;
        self.seen = now;
        let filled = unchanged && self.memory.is_some();
        execution.skipped[pack.unit].store(filled, Ordering::Relaxed);
        if unchanged && self.memory.is_none() {
            let memory = SharedBuffer::new(pack.elements * 4);
            for &(slot, at) in &pack.slots {
                let start = memory.start::<f32>().wrapping_add(at);
                execution.slots[slot].store(start, Ordering::Relaxed);
            }
            self.memory = Some(memory);
        } else if !unchanged && self.memory.take().is_some() {
            for &(slot, _) in &pack.slots {
                let at = execution.plan.0.addresses[slot].at;
                execution.slots[slot].store(arena.wrapping_add(at), Ordering::Relaxed);
            }
        }
    }
}
