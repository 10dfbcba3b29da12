//! Normalisations: their units, and their affine part as instructions of a pass.

use super::{Builder, SHARE};
use crate::plan::{
    Place, Slot, Work,
    chain::{Instr, Src, Uniform},
    chain_builder::ChainBuilder,
    function::{Ew, Round},
    lowering::{ByChannel, Normalize},
    normalization::NormalizeWork,
    walk::Walk,
};
use ane_ir::{DType, Shape, Value};

/// Columns of a task, where groups lie side by side: whole cache lines of a few vectors.
const COLUMNS: usize = 64;

/// A function of what has been computed so far, and of an operand.
pub(super) type Next = (Ew, Option<Src>);

impl Builder<'_> {
    /// Groups normalised by their own statistics, with the chain that finishes them.
    pub(super) fn normalize(&mut self, norm: &Normalize, mut c: ChainBuilder) {
        let from = self.in_arena(self.groups.root[norm.x.index()]);
        c.reads.push(from);
        let (share, tasks) = if norm.inner == 1 {
            let share = (SHARE / norm.len).clamp(1, norm.outer);
            (share, norm.outer.div_ceil(share))
        } else {
            let share = (SHARE / norm.len)
                .next_multiple_of(COLUMNS)
                .clamp(COLUMNS, norm.inner.max(COLUMNS))
                .min(norm.inner);
            (share, norm.outer * norm.inner.div_ceil(share))
        };
        let work = NormalizeWork {
            chain: c.chain,
            from,
            len: norm.len,
            outer: norm.outer,
            inner: norm.inner,
            epsilon: norm.epsilon,
            share,
        };
        self.need_scratch(&work.chain, work.block() + work.statistics());
        self.push(Work::Normalize(work), tasks, c.reads, c.writes);
    }

    /// Elements of the pass `c`, normalised by statistics that are given, of dtype `dtype`.
    pub(super) fn by_channel(
        &mut self,
        c: &mut ChainBuilder,
        group: usize,
        norm: &ByChannel,
        dtype: DType,
    ) -> Src {
        let scale = Place::Slot(self.channel_scale(norm));
        let x = self.operand(c, group, norm.x);
        let mean = self.place(self.groups.root[norm.mean.index()]);
        let shape = &norm.affine.broadcast;
        let mut steps = vec![
            (Ew::Sub, Some(broadcast(c, mean, shape))),
            (Ew::Mul, Some(broadcast(c, scale, shape))),
        ];
        steps.extend(self.affine(c, [None, norm.affine.beta], shape));
        let round = Round::of(dtype, true, &self.options.numerics);
        follow(c, x, steps, round)
    }

    /// gamma / √(variance + epsilon) of every channel.
    fn channel_scale(&mut self, norm: &ByChannel) -> Slot {
        let channels = self.graph.ty(norm.variance).shape.clone();
        let mut c = ChainBuilder::new(channels.clone());
        let gamma = match norm.affine.gamma {
            Some(gamma) => {
                let place = self.place(self.groups.root[gamma.index()]);
                broadcast(&mut c, place, &channels)
            }
            None => c.uniform(Uniform::Constant(1.0_f32.to_bits())),
        };
        let variance = self.place(self.groups.root[norm.variance.index()]);
        let variance = broadcast(&mut c, variance, &channels);
        let epsilon = c.uniform(Uniform::Constant(norm.epsilon.to_bits()));
        let to = c.register();
        c.compute(Ew::Add, Round::Keep, to, &[variance, epsilon]);
        c.compute(Ew::Sqrt, Round::Keep, to, &[Src::Reg(to)]);
        c.compute(Ew::Div, Round::Keep, to, &[gamma, Src::Reg(to)]);
        let scale = self.new_slot(channels.numel());
        c.chain.instrs.push(Instr::Store {
            from: Src::Reg(to),
            to: scale,
        });
        c.writes.push(scale);
        self.push_chain(c);
        if let Some(unit) = self.built.units.last_mut() {
            unit.late = true;
        }
        scale
    }

    /// The product with gamma and the sum with beta, which broadcast as `shape` does.
    pub(super) fn affine(
        &mut self,
        c: &mut ChainBuilder,
        [gamma, beta]: [Option<Value>; 2],
        shape: &Shape,
    ) -> Vec<Next> {
        let operands = [(Ew::Mul, gamma), (Ew::Add, beta)];
        let present = operands.into_iter().filter_map(|(f, v)| Some((f, v?)));
        let next = |(f, v): (Ew, Value)| {
            let place = self.place(self.groups.root[v.index()]);
            (f, Some(broadcast(c, place, shape)))
        };
        present.map(next).collect()
    }
}

/// An operand of the shape `from`, broadcast to that of the pass.
pub(super) fn broadcast(c: &mut ChainBuilder, place: Place, from: &Shape) -> Src {
    let walk = Walk::broadcast(from, &c.shape);
    if walk.is_uniform() || from.numel() == 1 {
        return c.uniform(Uniform::Element(place, 0));
    }
    let to = c.register();
    c.load(place, walk, to);
    c.free_later.push(to);
    Src::Reg(to)
}

/// One function after the other, the last one rounded.
pub(super) fn follow(c: &mut ChainBuilder, from: Src, mut steps: Vec<Next>, round: Round) -> Src {
    if steps.is_empty() {
        if round == Round::Keep {
            return from;
        }
        steps.push((Ew::Copy, None));
    }
    let to = c.register();
    let last = steps.len() - 1;
    let mut x = from;
    for (i, (f, operand)) in steps.into_iter().enumerate() {
        let round = if i == last { round } else { Round::Keep };
        match operand {
            Some(y) => c.compute(f, round, to, &[x, y]),
            None => c.compute(f, round, to, &[x]),
        }
        x = Src::Reg(to);
    }
    x
}
