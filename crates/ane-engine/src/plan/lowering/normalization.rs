//! Normalisations as the engine runs them: blocks that are shifted and scaled to mean 0 and variance 1, and their
//! affine part by the pass on those blocks.

use super::{Head, Lowering, Step};
use crate::plan::Options;
use ane_ir::{
    Accumulate, Graph, Node, Shape, Value,
    ops::{batch_norm::BatchNorm, support::normalize::Normalization},
};

/// A normalisation over neighbouring axes: of `outer` · `inner` groups of `len` elements, `inner` elements apart.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Normalize {
    pub(in crate::plan) x: Value,
    pub(in crate::plan) outer: usize,
    pub(in crate::plan) len: usize,
    pub(in crate::plan) inner: usize,
    /// Added to the variance.
    pub(in crate::plan) epsilon: f32,
    pub(in crate::plan) affine: Affine,
}

/// What multiplies normalised elements, and what is added to them.
#[derive(Debug, Clone)]
pub(in crate::plan) struct Affine {
    pub(in crate::plan) gamma: Option<Value>,
    pub(in crate::plan) beta: Option<Value>,
    /// The shape of both, with ones, so that it broadcasts to that of the elements.
    pub(in crate::plan) broadcast: Shape,
}

/// A normalisation by statistics that are given, channel by channel.
#[derive(Debug, Clone)]
pub(in crate::plan) struct ByChannel {
    pub(in crate::plan) x: Value,
    pub(in crate::plan) mean: Value,
    pub(in crate::plan) variance: Value,
    /// Added to the variance.
    pub(in crate::plan) epsilon: f32,
    pub(in crate::plan) affine: Affine,
}

impl Normalize {
    /// `node`, which normalises as `of` says, where its groups are neighbouring axes and sums may take any order.
    pub(super) fn of(
        graph: &Graph,
        node: &Node,
        of: &Normalization,
        options: &Options,
    ) -> Option<Lowering> {
        let numerics = &options.numerics;
        let ty = graph.ty(node.operands[0]);
        let (&first, &last) = (of.axes.first()?, of.axes.last()?);
        let neighbours = of.axes.len() == last - first + 1;
        if !neighbours || numerics.accumulate == Accumulate::Stepwise {
            return None;
        }
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        let dims = ty.shape.dims();
        Some(Lowering::Steps(vec![Step::Head(Head::Normalize(
            Box::new(Self {
                x: node.operands[0],
                outer: product(&dims[..first]),
                len: product(&dims[first..=last]),
                inner: product(&dims[last + 1..]),
                epsilon: numerics.store(ty.dtype, of.epsilon as f32),
                affine: Affine::of(node, of.broadcast.clone()),
            }),
        ))]))
    }
}

impl Affine {
    fn of(node: &Node, broadcast: Shape) -> Self {
        let xs = node.view(&node.operands);
        Self {
            gamma: xs.optional("gamma"),
            beta: xs.optional("beta"),
            broadcast,
        }
    }
}

impl ByChannel {
    pub(super) fn of(graph: &Graph, node: &Node, op: &BatchNorm, options: &Options) -> Self {
        let ty = graph.ty(node.operands[0]);
        let channel = |(axis, &len): (usize, &usize)| if axis == 1 { len } else { 1 };
        Self {
            x: node.operands[0],
            mean: node.operands[1],
            variance: node.operands[2],
            epsilon: options.numerics.store(ty.dtype, op.epsilon as f32),
            affine: Affine::of(
                node,
                ty.shape.dims().iter().enumerate().map(channel).collect(),
            ),
        }
    }
}
