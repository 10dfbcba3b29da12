//! A chain: elementwise instructions that run over a tile while it is in the nearest cache.

use super::{Place, Slot, join::Join, walk::Walk};
use ane_ir::{DType, NonFinite, Numerics};

/// Most elements of a tile. Registers of this length stay in a first-level cache of 32 KiB, up to a dozen of them.
pub(crate) const TILE: usize = 512;

/// A register: a tile of f32.
pub(crate) type Reg = u16;

/// Elementwise functions, computed in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ew {
    Add,
    Sub,
    Mul,
    MulSilicon,
    Div,
    Max,
    Min,
    Pow,
    Sqrt,
    Rsqrt(f32),
    Exp,
    Log(f32),
    LogSilicon(f32),
    Tanh,
    Sigmoid,
    Silu,
    Relu,
    /// A slope below zero.
    LeakyRelu(f32),
    /// Kept within bounds.
    Clip(f32, f32),
    Softplus,
    Erf,
    GeluExact,
    GeluTanh,
    GeluSigmoid,
    Abs,
    Sign,
    Greater,
    GreaterEqual,
    Less,
    Equal,
    Not,
    NonZero,
    Select,
    Copy,
    /// Toward zero, within bounds; NaN becomes the bound nearest to zero.
    Truncate(f32, f32),
    /// Infinite beyond a magnitude.
    Cliff(f32),
    /// What rounding the sum of two numbers left, given both and their sum.
    SumError,
}

/// What happens to a result before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Nothing: fp32, integers, and results that are fp16 values already.
    Keep,
    /// Rounded to fp16.
    Fp16,
    /// Rounded to fp16, subnormals flushed and NaN replaced as the numerics say.
    Fp16By { flush: bool, no_nan: bool },
    /// Kept, but NaN replaced.
    NoNan,
}

impl Round {
    /// The rounding of a node of `dtype` whose function may leave the fp16 grid (`inexact`) or not. What stays on the
    /// grid still has its subnormals flushed.
    pub(crate) fn of(dtype: DType, inexact: bool, numerics: &Numerics) -> Self {
        let no_nan = numerics.non_finite == NonFinite::Silicon;
        let rounds =
            numerics.round && dtype == DType::Fp16 && (inexact || numerics.flush_subnormals);
        match (rounds, numerics.flush_subnormals, no_nan) {
            (true, false, false) => Self::Fp16,
            (true, flush, no_nan) => Self::Fp16By { flush, no_nan },
            (false, _, true) => Self::NoNan,
            (false, _, false) => Self::Keep,
        }
    }
}

/// Where an instruction reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Src {
    /// A register.
    Reg(Reg),
    /// What is the same for all elements.
    Uniform(u16),
    /// The slot's elements themselves, at the tile's own position.
    Slot(Slot),
    /// The block of the matrix product that the chain finishes.
    Head,
}

/// One step over a tile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Instr {
    /// Brings elements into a register.
    Load { load: usize, to: Reg },
    /// Computes; unused operands repeat the first.
    Compute {
        f: Ew,
        round: Round,
        to: Reg,
        xs: [Src; 3],
    },
    /// Computes two functions, one after the other.
    Joined { join: Join, to: Reg, xs: [Src; 5] },
    /// Writes f32 to the arena.
    Store { from: Src, to: Slot },
    /// Writes to an output port, in its dtype.
    Export {
        from: Src,
        port: usize,
        dtype: DType,
    },
    /// Folds into the partial maximum of the task.
    Largest { from: Src, partial: Slot },
    /// Folds magnitudes into the partial maximum of the task.
    LargestMagnitude { from: Src, partial: Slot },
    /// [`Ew::Cliff`] rounded to fp16, to an output port of that dtype and, by magnitude, into the partial maximum of the
    /// task: how gradients leave a step.
    Deliver {
        from: Src,
        limit: f32,
        port: usize,
        partial: Slot,
    },
}

impl Instr {
    /// Whether it reads `reg`.
    pub(crate) fn reads(&self, reg: Reg) -> bool {
        match self {
            Self::Load { .. } => false,
            Self::Compute { xs, .. } => xs.contains(&Src::Reg(reg)),
            Self::Joined { xs, .. } => xs.contains(&Src::Reg(reg)),
            Self::Store { from, .. }
            | Self::Export { from, .. }
            | Self::Largest { from, .. }
            | Self::LargestMagnitude { from, .. }
            | Self::Deliver { from, .. } => *from == Src::Reg(reg),
        }
    }

    /// The register it writes.
    pub(crate) fn writes(&self) -> Option<Reg> {
        match self {
            Self::Load { to, .. } | Self::Compute { to, .. } | Self::Joined { to, .. } => Some(*to),
            _ => None,
        }
    }
}

/// A strided read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    pub(crate) place: Place,
    pub(crate) walk: Walk,
}

/// What is the same for all elements of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Uniform {
    /// The bits of a constant.
    Constant(u32),
    /// An element of an operand.
    Element(Place, usize),
}

/// Elements that a uniform takes: the lanes of the widest vector.
pub(crate) const UNIFORM: usize = 16;

/// Instructions over tiles, and what holds for all of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Chain {
    pub(crate) loads: Vec<Load>,
    pub(crate) instrs: Vec<Instr>,
    pub(crate) uniforms: Vec<Uniform>,
    pub(crate) registers: usize,
}

impl Chain {
    /// Elements of a tile, fewer where many registers would not fit the nearest cache.
    pub(crate) fn tile(&self) -> usize {
        match self.registers {
            0..=12 => TILE,
            13..=28 => TILE / 2,
            _ => TILE / 4,
        }
    }

    /// Elements of scratch: the registers, and after them the uniforms.
    pub(crate) fn scratch(&self) -> usize {
        self.registers * self.tile() + self.uniforms.len() * UNIFORM
    }
}
