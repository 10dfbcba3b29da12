//! What the bits of a run depend on besides its configuration: how a processor multiplies matrices.
//!
//! Kernels of different instruction sets sum the terms of a product in different orders, with and without fused
//! multiply-add. The number of threads is not among these things.

use ane_engine::simd::Isa;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The processor that a run's numbers come from, as checkpoints record it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its architecture, such as `x86_64`.
    pub architecture: String,
    /// The instruction set used, by the name that `ANE_TRAINER_ISA` takes.
    pub instruction_set: String,
}

/// A run cannot go on with the same bits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the run was computed with {expected}, this program computes with {found}: the numbers would not be the run's"
)]
pub struct OtherMachine {
    /// What the run was computed with.
    pub expected: Machine,
    /// What this process computes with.
    pub found: Machine,
}

impl Machine {
    /// This machine, computing with `isa`.
    pub fn this(isa: Isa) -> Self {
        Self {
            architecture: std::env::consts::ARCH.to_owned(),
            instruction_set: isa.name().to_owned(),
        }
    }

    /// Whether a run of this machine can go on in a process that computes with `isa`.
    ///
    /// # Errors
    /// When its numbers would differ.
    pub fn goes_on_with(&self, isa: Isa) -> Result<(), OtherMachine> {
        let found = Self::this(isa);
        if *self == found {
            return Ok(());
        }
        Err(OtherMachine {
            expected: self.clone(),
            found,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "instruction set {} on {}",
            self.instruction_set, self.architecture
        )
    }
}

impl OtherMachine {
    /// What the user can do.
    pub fn help(&self) -> String {
        let wanted = &self.expected.instruction_set;
        let here =
            self.expected.architecture == self.found.architecture && wanted.parse::<Isa>().is_ok();
        if here {
            return format!("set ANE_TRAINER_ISA={wanted}");
        }
        format!(
            "this machine lacks it: continue on one that has it, or start a new run without --resume; \
             ANE_TRAINER_ISA={} there makes a run that this machine can continue",
            self.found.instruction_set
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_it_was_computed_and_nowhere_else() {
        let machine = Machine::this(Isa::Portable);
        assert_eq!(machine.goes_on_with(Isa::Portable), Ok(()));
        let other = machine.goes_on_with(Isa::Avx2).unwrap_err();
        assert!(other.to_string().contains("instruction set portable on"));
        assert!(other.to_string().contains("instruction set avx2 on"));
        assert_eq!(other.help(), "set ANE_TRAINER_ISA=portable");
    }

    #[test]
    fn advice_does_not_ask_for_what_a_machine_lacks() {
        let elsewhere = Machine {
            architecture: "pdp11".to_owned(),
            ..Machine::this(Isa::Portable)
        };
        let other = elsewhere.goes_on_with(Isa::Portable).unwrap_err();
        assert!(other.help().starts_with("this machine lacks it"));
        let newer = Machine {
            instruction_set: "avx9".to_owned(),
            ..Machine::this(Isa::Portable)
        };
        let other = newer.goes_on_with(Isa::Portable).unwrap_err();
        assert!(other.help().starts_with("this machine lacks it"));
    }
}
