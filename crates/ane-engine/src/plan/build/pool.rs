//! Units of pools and of their gradient.

use super::{Builder, SHARE};
use crate::plan::{
    Work,
    chain_builder::ChainBuilder,
    lowering::{MaxPoolGradient, Pool},
    pool::{MaxPoolGradientWork, PoolWork},
};

impl Builder<'_> {
    /// A pool with the chain that finishes its results.
    pub(super) fn pool(&mut self, pool: &Pool, mut c: ChainBuilder) {
        let from = self.in_arena(self.groups.root[pool.x.index()]);
        c.reads.push(from);
        let [y, x] = &pool.axes;
        let share = (SHARE / (y.output * x.output)).clamp(1, pool.planes);
        let work = PoolWork {
            chain: c.chain,
            kind: pool.kind.clone(),
            from,
            axes: pool.axes,
            planes: pool.planes,
            share,
        };
        self.need_scratch(&work.chain, work.row() + work.block());
        let tasks = pool.planes.div_ceil(share);
        self.push(Work::Pool(work), tasks, c.reads, c.writes);
    }

    /// The gradient of a pool of largest elements with the chain that finishes it.
    pub(super) fn max_pool_gradient(&mut self, gradient: &MaxPoolGradient, mut c: ChainBuilder) {
        let [x, ct] = gradient
            .operands
            .map(|v| self.in_arena(self.groups.root[v.index()]));
        c.reads.extend([x, ct]);
        let image = gradient.axes.iter().map(|a| a.input).product::<usize>();
        let share = (SHARE / image).clamp(1, gradient.planes);
        let work = MaxPoolGradientWork {
            chain: c.chain,
            x,
            ct,
            axes: gradient.axes,
            planes: gradient.planes,
            share,
        };
        self.need_scratch(&work.chain, share * image);
        let tasks = gradient.planes.div_ceil(share);
        self.push(Work::MaxPoolGradient(work), tasks, c.reads, c.writes);
    }
}
