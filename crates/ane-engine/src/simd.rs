//! Vectors of f32 lanes: one portable source for every kernel, compiled for each instruction set.
//!
//! A kernel is written once over [`Lanes`] and run by [`dispatch`], which enters a function compiled with the features
//! of the chosen [`Isa`]. Only [`Lanes::mul_add`], which matrix products use, fuses a multiply with an add: all else has
//! the same bits on every instruction set.

mod convert;
mod lanes;
pub mod math;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use convert::{narrow, widen, widen_by};
pub(crate) use convert::{narrow_lanes, widen_lanes};
pub use lanes::{Lanes, MOST_LANES};
use portable::Portable;
use std::{fmt, str::FromStr};

/// Instruction set for which the kernels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What the build's target guarantees: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// All of them, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest this machine has.
    pub fn detect() -> Self {
        Self::ALL
            .into_iter()
            .rev()
            .find(|isa| isa.available())
            .unwrap_or(Self::Portable)
    }

    /// Whether this machine has it.
    pub fn available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// Short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instruction set that does not exist, or that this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no instruction set `{text}` on this machine; it has {}", list())]
pub struct ParseIsaError {
    text: String,
}

fn list() -> String {
    let names: Vec<&str> = Isa::ALL
        .into_iter()
        .filter(|i| i.available())
        .map(Isa::name)
        .collect();
    names.join(", ")
}

impl FromStr for Isa {
    type Err = ParseIsaError;

    fn from_str(text: &str) -> Result<Self, ParseIsaError> {
        Self::ALL
            .into_iter()
            .find(|i| i.name() == text && i.available())
            .ok_or_else(|| ParseIsaError { text: text.into() })
    }
}

/// A computation over lanes of any width.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The computation. Must be `#[inline(always)]` to be compiled with the features of the caller.
    fn run<S: Lanes>(self, s: S) -> Self::Output;
}

/// Runs `kernel` compiled for `isa`, or for the baseline where the machine lacks it.
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Portable => {}
        Isa::Avx2 => {
            if let Some(s) = x86::Avx2::detect() {
                // SAFETY: `detect` found the features that the function is compiled with.
                return unsafe { x86::enter_avx2(s, kernel) };
            }
        }
        Isa::Avx512 => {
            if let Some(s) = x86::Avx512::detect() {
                // SAFETY: `detect` found the features that the function is compiled with.
                return unsafe { x86::enter_avx512(s, kernel) };
            }
        }
    }
    let _ = isa;
    kernel.run(Portable)
}

#[cfg(test)]
mod tests;
