//! Whether a training fits into memory, known before any of it is taken.
//!
//! Memory that is asked for and not there is not refused by most systems: the process is killed when it uses it, without
//! a word and with the work of hours. So what a training will hold is counted first.

mod forecast;

pub use forecast::Forecast;
pub(crate) use forecast::{inference_ports, of_inference, of_training, training_ports};

use ane_device::{MemoryUse, available_memory};
use serde::Serialize;
use std::fmt;

/// Bytes that a training holds for as long as it lasts, by what they are for. The data set comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Footprint {
    /// The ports of the programs: batch, weights, gradients or both sets of state.
    pub ports: u64,
    /// What the programs work in. They take turns, so it is the most that one of them needs.
    pub workspace: u64,
    /// The same of stages on the host.
    pub host_workspace: u64,
    /// What the programs are besides: constants, and packed operands that are kept while weights do not change.
    pub programs: u64,
    /// fp32 masters, optimizer state, sums of gradients and running statistics on the host.
    pub host: u64,
    /// Batches that are gathered ahead.
    pub batches: u64,
    /// What graphs and plans, and this program's own code, take while they are worked on: a rule of thumb.
    pub compiler: u64,
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
    /// With what a program of the engine takes besides its ports; `keeping` says how many of its bindings keep what was packed from an
    /// input port.
    pub(crate) fn add_program(&mut self, memory: &MemoryUse, keeping: impl Fn(&str) -> u64) {
        self.workspace = self.workspace.max(memory.workspace as u64);
        self.add_kept(memory, keeping);
    }

    /// As [`Footprint::add_program`], of a program of the host.
    pub(crate) fn add_host_program(&mut self, memory: &MemoryUse, keeping: impl Fn(&str) -> u64) {
        self.host_workspace = self.host_workspace.max(memory.workspace as u64);
        self.add_kept(memory, keeping);
    }

    fn add_kept(&mut self, memory: &MemoryUse, keeping: impl Fn(&str) -> u64) {
        let kept = memory.kept_packs.iter();
        let kept = kept.map(|(port, &bytes)| keeping(port).saturating_mul(bytes as u64));
        self.programs = kept
            .chain([memory.constants as u64])
            .fold(self.programs, u64::saturating_add);
    }

    /// The buffers among it: what devices and the store allocate.
    pub fn buffers(&self) -> u64 {
        let works = sum([self.workspace, self.host_workspace]);
        sum([self.ports, works, self.programs, self.host])
    }

    /// Peak of a step.
    pub fn peak(&self) -> u64 {
        sum([self.buffers(), self.batches, self.compiler])
    }

    /// Peak of a run, which writes checkpoints.
    pub fn total(&self) -> u64 {
        sum([self.peak(), self.checkpoint])
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

fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} for what the programs read and write, {} to work in, {} for weights and optimizer state, {} for batches, {} \
             to compile, {} to write a checkpoint",
            amount(self.ports),
            amount(sum([self.workspace, self.host_workspace, self.programs])),
            amount(self.host),
            amount(self.batches),
            amount(self.compiler),
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

    #[test]
    fn what_is_needed_is_counted_and_refused_when_it_cannot_be_had() {
        let mut needed = Footprint {
            ports: 8_192,
            host: 12_000,
            batches: 50,
            compiler: 30,
            checkpoint: 36_000,
            ..Footprint::default()
        };
        let kept_packs = [("x", 1_000), ("weight", 40)];
        let training = MemoryUse {
            workspace: 100,
            constants: 60,
            kept_packs: kept_packs.map(|(port, n)| (port.to_owned(), n)).into(),
            ports: 1,
        };
        needed.add_program(&training, |port| u64::from(port == "weight"));
        let evaluation = MemoryUse {
            workspace: 70,
            ..training
        };
        needed.add_program(&evaluation, |port| 2 * u64::from(port == "weight"));
        assert_eq!(
            (needed.workspace, needed.programs),
            (100, 60 + 40 + 60 + 80)
        );
        assert_eq!(needed.buffers(), 8_192 + 100 + 240 + 12_000);
        assert_eq!(needed.peak(), needed.buffers() + 80);
        let total = needed.total();
        assert_eq!(total, needed.peak() + 36_000);
        assert_eq!(needed.must_fit_into(total), Ok(()));
        let said = needed.must_fit_into(total - 1).unwrap_err().to_string();
        assert_eq!(
            said,
            "the training needs 55.3 KiB of memory, and 55.3 KiB can be had: 8.0 KiB for what the programs read and \
             write, 340 bytes to work in, 11.7 KiB for weights and optimizer state, 50 bytes for batches, 30 bytes to \
             compile, 35.2 KiB to write a checkpoint"
        );
    }

    #[test]
    fn numbers_beyond_all_memory_do_not_wrap_around() {
        let huge = Footprint {
            host: u64::MAX,
            checkpoint: u64::MAX,
            ..Footprint::default()
        };
        assert_eq!(huge.total(), u64::MAX);
        assert!(huge.must_fit_into(u64::MAX - 1).is_err());
    }
}
