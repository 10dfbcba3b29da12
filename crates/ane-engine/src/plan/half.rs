//! Which values the arena holds as fp16.
//!
//! Results of fp16 are exact in fp16 wherever they are stored, and what waits for the backward pass waits in half the
//! memory. A value is held so when it is large and whoever reads it can widen it on the way: passes over tiles, and the
//! planes of convolutions.

use super::{
    group::Groups,
    lowering::{Head, Lowering, Step},
};
use ane_ir::{DType, Graph, Value};

/// Elements from which on memory matters.
const LARGE: usize = 32 * 1024;

/// By value of `graph`, whether a pass stores it as fp16; `wide` says which values keep more digits than that.
pub(super) fn find(
    graph: &Graph,
    lowering: &[Lowering],
    groups: &Groups<'_>,
    wide: &[bool],
) -> Vec<bool> {
    graph
        .values()
        .map(|v| {
            let ty = graph.ty(v);
            ty.dtype == DType::Fp16
                && ty.shape.numel() >= LARGE
                && !wide[v.index()]
                && groups.of[v.index()].is_some()
                && groups.uses[v.index()]
                    .iter()
                    .all(|&(reader, _)| widens(&lowering[reader], groups, v))
        })
        .collect()
}

/// Whether a reader of `v` takes fp16 from where it lies.
fn widens(reader: &Lowering, groups: &Groups<'_>, v: Value) -> bool {
    let Lowering::Steps(steps) = reader else {
        return false;
    };
    steps.iter().all(|step| match step {
        Step::Elementwise { .. }
        | Step::Splat(_)
        | Step::ByChannel(_)
        | Step::Movement { .. }
        | Step::Largest
        | Step::ChannelSums(_) => true,
        Step::Head(Head::Convolution(conv)) => {
            let is_weight = groups.root[conv.weight.base.index()] == v;
            !is_weight || conv.along_window()
        }
        Step::Head(_) => false,
    })
}
