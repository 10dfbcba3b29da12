//! A chain: elementwise instructions that run over a tile while it is in the nearest cache.

use super::{
    Place, Slot,
    function::{Ew, Round},
    fused_pair::FusedPair,
    walk::Walk,
};
use ane_ir::DType;

/// Most elements of a tile. Registers of this length stay in a first-level cache of 32 KiB, up to a dozen of them.
pub(crate) const TILE: usize = 512;

/// A register: a tile of f32.
pub(crate) type Reg = u16;

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
    Pair {
        pair: FusedPair,
        to: Reg,
        xs: [Src; 5],
    },
    /// Writes f32 to the arena.
    Store { from: Src, to: Slot },
    /// Writes fp16 to the arena.
    StoreHalf { from: Src, to: Slot },
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
    /// Adds to the partial sums of the task, one for each of `channels`, which take turns every `period` elements.
    Sum {
        from: Src,
        partial: Slot,
        channels: usize,
        period: usize,
    },
    /// [`Ew::Cliff`] rounded to fp16, to an output port of that dtype and, by magnitude, into the partial maximum of the
    /// task: how gradients leave a step.
    GradientOutput {
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
            Self::Pair { xs, .. } => xs.contains(&Src::Reg(reg)),
            Self::Store { from, .. }
            | Self::StoreHalf { from, .. }
            | Self::Export { from, .. }
            | Self::Largest { from, .. }
            | Self::LargestMagnitude { from, .. }
            | Self::Sum { from, .. }
            | Self::GradientOutput { from, .. } => *from == Src::Reg(reg),
        }
    }

    /// The register it writes.
    pub(crate) fn writes(&self) -> Option<Reg> {
        match self {
            Self::Load { to, .. } | Self::Compute { to, .. } | Self::Pair { to, .. } => Some(*to),
            _ => None,
        }
    }
}

/// Whether nothing in `after` reads `reg` before it is written again.
pub(crate) fn is_dead(after: &[Instr], reg: Reg) -> bool {
    let next = after
        .iter()
        .find(|i| i.reads(reg) || i.writes() == Some(reg));
    next.is_none_or(|i| !i.reads(reg))
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
