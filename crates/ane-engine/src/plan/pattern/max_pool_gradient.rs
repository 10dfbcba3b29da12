//! The gradient of [`MaxPool`]: scores, a largest score per window, comparisons and selections, or one pass.

use super::{Match, Shared};
use crate::plan::lowering::{MaxPoolGradient, axes_of_images};
use ane_ir::{DType, Graph, Value, ops::Op};
use std::collections::HashMap;

/// Steps from the result of a pool to that of its gradient, at most.
const STEPS: usize = 9;

/// Adds the gradients of the pools of `graph`. With a limit on products the gradient of overlapping windows is not what
/// it is without: the convolution in it makes large elements infinite.
pub(super) fn find(graph: &Shared<'_>, has_matmul_limit: bool, found: &mut HashMap<usize, Match>) {
    for node in graph.graph.nodes() {
        let Op::MaxPool(op) = &node.op else { continue };
        let (x, y) = (node.operands[0], node.results[0]);
        let ty = graph.graph.ty(x);
        let Ok(dims) = op.dims(ty) else { continue };
        let Some(axes) = axes_of_images(&dims.axes) else {
            continue;
        };
        let overlap = !axes.iter().all(|a| a.tiles());
        if overlap && has_matmul_limit && ty.dtype == DType::Fp16 {
            continue;
        }
        let mut gradient = Graph::new();
        let built = build(&mut gradient, op, graph.graph, x, y);
        let Some(result) = built else { continue };
        let pattern = Shared::of(&gradient);
        let Some(last) = super::definition(pattern.graph, result) else {
            continue;
        };
        for at in graph.near(y, STEPS) {
            let candidate = &graph.graph.nodes()[at];
            if std::mem::discriminant(&candidate.op) != std::mem::discriminant(&last.op) {
                continue;
            }
            let Some(bound) = graph.unify(&pattern, result, candidate.results[0]) else {
                continue;
            };
            if bound[0] == graph.root(x) && bound[1] == graph.root(y) {
                let gradient = MaxPoolGradient {
                    operands: [bound[0], bound[2]],
                    planes: dims.batch * dims.channels,
                    axes,
                };
                found.insert(at, Match::MaxPoolGradient(gradient));
            }
        }
    }
}

/// The gradient as a graph of x, y and the cotangent of y.
fn build(
    pattern: &mut Graph,
    op: &ane_ir::ops::max_pool::MaxPool,
    graph: &Graph,
    x: Value,
    y: Value,
) -> Option<Value> {
    let x = pattern.input("x", graph.ty(x).clone()).ok()?;
    let of_y = graph.ty(y).clone();
    let y = pattern.input("y", of_y.clone()).ok()?;
    let ct = pattern.input("ct", of_y).ok()?;
    op.gradient(pattern, x, y, ct).ok()
}
