//! Whether a training fits into memory, known before any of it is taken.
//!
//! Memory that is asked for and not there is not refused by most systems: the process is killed when it uses it, without
//! a word and with the work of hours. So what a training will hold is counted first.

use crate::stage::Staged;
use ane_device::{MemoryUse, available_memory};
use std::fmt;

/// Bytes that a training holds for as long as it lasts, by what they are for. What a step takes for a moment, and the
/// data set, come on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// The ports of the programs: batch, weights, gradients or both sets of state.
    pub ports: u64,
    /// What the programs work in.
    pub program: u64,
    /// fp32 masters and optimizer state on the host.
    pub host: u64,
    /// A checkpoint while it is made: the state, and twice its bytes.
    pub checkpoint: u64,
}

/// A training does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the training needs {} of memory, and {} can be had: {needed}",
    amount(needed.total()),
    amount(*available)
)]
pub struct OutOfMemory {
    /// What it needs.
    pub needed: Footprint,
    /// Bytes that can be had.
    pub available: u64,
}

impl Footprint {
    /// Of a training in these stages, with `state` bytes of weights and optimizer state, `on_host` or else among the
    /// ports. What the programs work in is added when they are compiled.
    pub fn of(stages: &Staged, state: u64, on_host: bool) -> Self {
        Self {
            ports: stages.port_bytes(),
            program: 0,
            host: if on_host { state } else { 0 },
            checkpoint: state.saturating_mul(3),
        }
    }

    /// With what a program takes besides its ports, which all of its bindings share.
    pub fn add_program(&mut self, memory: &MemoryUse) {
        let parts = [memory.workspace, memory.constants, memory.kept_packs];
        let more = parts.map(|bytes| bytes as u64);
        self.program = more.into_iter().fold(self.program, u64::saturating_add);
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        [self.ports, self.program, self.host, self.checkpoint]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Whether it fits into what the system can still give.
    ///
    /// # Errors
    /// When it does not.
    pub fn must_fit(self) -> Result<(), OutOfMemory> {
        self.must_fit_into(available_memory().unwrap_or(u64::MAX))
    }

    fn must_fit_into(self, available: u64) -> Result<(), OutOfMemory> {
        if self.total() <= available {
            return Ok(());
        }
        Err(OutOfMemory {
            needed: self,
            available,
        })
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} for what the program reads and writes, {} to work in, {} for weights and optimizer state, {} to write a checkpoint",
            amount(self.ports),
            amount(self.program),
            amount(self.host),
            amount(self.checkpoint)
        )
    }
}

/// Bytes in a unit that one reads.
pub fn amount(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|&(unit, _)| bytes >= unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{Graph, Target, TensorType};

    #[test]
    fn what_is_needed_is_counted_and_refused_when_it_cannot_be_had() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([64, 32])).unwrap();
        let y = g.relu(x).unwrap();
        g.output("y", y).unwrap();
        let g = Staged::of(&g, &Target::SOFTWARE).unwrap();
        let mut host = Footprint::of(&g, 12_000, true);
        host.add_program(&MemoryUse {
            workspace: 100,
            constants: 60,
            kept_packs: 40,
            ports: 1,
        });
        assert_eq!(
            host,
            Footprint {
                ports: 2 * 64 * 32 * 2,
                program: 200,
                host: 12_000,
                checkpoint: 36_000,
            }
        );
        assert_eq!(Footprint::of(&g, 12_000, false).host, 0);
        let total = host.total();
        assert_eq!(total, 8_192 + 200 + 12_000 + 36_000);
        assert_eq!(host.must_fit_into(total), Ok(()));
        let said = host.must_fit_into(total - 1).unwrap_err().to_string();
        assert_eq!(
            said,
            "the training needs 55.1 KiB of memory, and 55.1 KiB can be had: 8.0 KiB for what the program reads and \
             writes, 200 bytes to work in, 11.7 KiB for weights and optimizer state, 35.2 KiB to write a checkpoint"
        );
    }

    #[test]
    fn numbers_beyond_all_memory_do_not_wrap_around() {
        let g = Staged::of(&Graph::new(), &Target::SOFTWARE).unwrap();
        let huge = Footprint::of(&g, u64::MAX, true);
        assert_eq!(huge.total(), u64::MAX);
        assert!(huge.must_fit_into(u64::MAX - 1).is_err());
    }
}
