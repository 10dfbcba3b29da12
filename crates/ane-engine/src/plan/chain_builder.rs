//! A chain under construction: registers, loads and instructions.

use super::{
    Place, Slot,
    chain::{Chain, Instr, Load, Reg, Src, Uniform},
    function::{Ew, Round},
    walk::Walk,
};
use ane_ir::{Shape, Value};
use std::collections::HashMap;

/// A chain under construction.
pub(super) struct ChainBuilder {
    pub(super) chain: Chain,
    pub(super) shape: Shape,
    pub(super) registers: HashMap<Value, Src>,
    /// The last member that reads each value.
    pub(super) last_use: HashMap<Value, usize>,
    /// Values by the member after which nothing reads them.
    ending: HashMap<usize, Vec<Value>>,
    pub(super) free: Vec<Reg>,
    /// Registers of loaded operands, read by the next instruction only.
    pub(super) free_later: Vec<Reg>,
    pub(super) reads: Vec<Slot>,
    pub(super) writes: Vec<Slot>,
}

impl ChainBuilder {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            chain: Chain::default(),
            shape,
            registers: HashMap::new(),
            last_use: HashMap::new(),
            ending: HashMap::new(),
            free: Vec::new(),
            free_later: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
        }
    }

    pub(super) fn register(&mut self) -> Reg {
        self.free.pop().unwrap_or_else(|| {
            self.chain.registers += 1;
            Reg::try_from(self.chain.registers - 1).expect("groups are bounded")
        })
    }

    /// What is the same for all elements, brought to the scratch behind the registers once for all tiles of a task.
    pub(super) fn uniform(&mut self, uniform: Uniform) -> Src {
        let known = self.chain.uniforms.iter().position(|&u| u == uniform);
        let at = known.unwrap_or_else(|| {
            if let Uniform::Element(place, _) = uniform {
                self.reads.extend(place.slot());
            }
            self.chain.uniforms.push(uniform);
            self.chain.uniforms.len() - 1
        });
        Src::Uniform(u16::try_from(at).expect("groups are bounded"))
    }

    pub(super) fn load(&mut self, place: Place, walk: Walk, to: Reg) {
        self.reads.extend(place.slot());
        self.chain.loads.push(Load { place, walk });
        self.chain.instrs.push(Instr::Load {
            load: self.chain.loads.len() - 1,
            to,
        });
    }

    pub(super) fn compute(&mut self, f: Ew, round: Round, to: Reg, xs: &[Src]) {
        let at = |i: usize| xs.get(i).copied().unwrap_or(xs[0]);
        self.chain.instrs.push(Instr::Compute {
            f,
            round,
            to,
            xs: [at(0), at(1), at(2)],
        });
    }

    /// Adds `from` to partial sums by channel.
    pub(super) fn sum(&mut self, from: Src, partial: Slot, channels: usize, period: usize) {
        // A uniform is a vector long, and a sum reads a tile.
        let copy = matches!(from, Src::Uniform(_)).then(|| self.register());
        let from = match copy {
            Some(to) => {
                self.compute(Ew::Copy, Round::Keep, to, &[from]);
                Src::Reg(to)
            }
            None => from,
        };
        self.chain.instrs.push(Instr::Sum {
            from,
            partial,
            channels,
            period,
        });
        self.free.extend(copy);
    }

    /// Folds `from` into a partial maximum. Magnitudes that were made just for it are taken on the way.
    pub(super) fn fold_largest(&mut self, from: Src, partial: Slot) {
        // A uniform is a vector long, and a maximum reads a tile.
        let copy = matches!(from, Src::Uniform(_)).then(|| self.register());
        let from = match copy {
            Some(to) => {
                self.compute(Ew::Copy, Round::Keep, to, &[from]);
                Src::Reg(to)
            }
            None => from,
        };
        let magnitude_of = match self.chain.instrs.last() {
            Some(Instr::Compute {
                f: Ew::Abs,
                round: Round::Keep,
                to,
                xs,
            }) if from == Src::Reg(*to) && xs[0] != from && !matches!(xs[0], Src::Uniform(_)) => {
                Some(xs[0])
            }
            _ => None,
        };
        let instr = match magnitude_of {
            Some(from) => Instr::LargestMagnitude { from, partial },
            None => Instr::Largest { from, partial },
        };
        self.chain.instrs.push(instr);
        self.free.extend(copy);
    }

    /// Removes magnitudes that nothing reads any more.
    pub(super) fn drop_unread_magnitudes(&mut self) {
        let mut i = 0;
        while i < self.chain.instrs.len() {
            let unread = matches!(self.chain.instrs[i], Instr::Compute { f: Ew::Abs, to, .. }
                if !self.chain.instrs[i + 1..]
                    .iter()
                    .take_while(|next| next.writes() != Some(to) || next.reads(to))
                    .any(|next| next.reads(to)));
            if unread {
                self.chain.instrs.remove(i);
            } else {
                i += 1;
            }
        }
    }

    /// Member `i`, which is `v`, can be read at `src`.
    pub(super) fn keep(&mut self, i: usize, v: Value, src: Src) {
        self.registers.insert(v, src);
        let last = self.last_use.get(&v).map_or(i, |&last| last.max(i));
        self.ending.entry(last).or_default().push(v);
    }

    /// Frees the registers that member `i` read last.
    pub(super) fn release(&mut self, i: usize) {
        let mut freed: Vec<Reg> = std::mem::take(&mut self.free_later);
        for v in self.ending.remove(&i).unwrap_or_default() {
            if let Some(Src::Reg(r)) = self.registers.remove(&v) {
                freed.push(r);
            }
        }
        freed.sort_unstable();
        self.free.extend(freed);
    }
}
