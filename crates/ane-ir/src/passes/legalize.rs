//! What the target lacks, in terms of what it has.
//!
//! | before | after, on chip targets |
//! |---|---|
//! | an op the target refuses | its `decompose` |
//! | `reduce_sum(x, [-1])`, `[-2]`, or both, and `reduce_mean` likewise | `matmul` with ones |
//! | `rsqrt`, `log` without `epsilon`; `concat` without `interleave` | the parameter said |
//!
//! Sums by matmul do not depend on what the silicon's `reduce_sum` does, about which reports differ.

use super::{PassError, Rewriter, rewrite};
use crate::{
    graph::{Graph, Node, Results, Value},
    ops::{Op, TypeError, concat::Concat, log::Log, rsqrt::Rsqrt, support::reduce},
    target::{OpSupport, Target},
    tensor::Literal,
    types::{DType, TensorType},
};
use smallvec::smallvec;

pub(super) fn run(graph: &Graph, target: &Target) -> Result<Graph, PassError> {
    if !target.is_chip() {
        return Ok(graph.clone());
    }
    rewrite("legalize", graph, |r, node, xs| {
        let typed = |result: Result<Option<Results>, TypeError>| {
            result.map_err(|source| PassError::Type {
                pass: "legalize",
                source,
            })
        };
        if let Some(said) = with_required_parameters(&node.op) {
            return typed(r.out.push_segments(said, xs, &node.segments).map(Some));
        }
        if let Some(sum) = sum_by_matmul(r, node, xs) {
            return typed(sum.map(Some));
        }
        if target.op_support(node.op.name()) != OpSupport::Refused {
            return Ok(None);
        }
        // An op without a decomposition stays: `check` refuses it by its rule, with the evidence.
        typed(node.op.decompose(&mut r.out, &node.view(xs)))
    })
}

/// The op with the parameters that the engine's compiler wants spelled out.
fn with_required_parameters(op: &Op) -> Option<Op> {
    match op {
        Op::Rsqrt(Rsqrt { epsilon: None }) => Some(
            Rsqrt {
                epsilon: Some(2.0_f64.powi(-24)),
            }
            .into(),
        ),
        Op::Log(Log { epsilon: None }) => Some(Log { epsilon: Some(0.0) }.into()),
        Op::Concat(Concat {
            axis,
            interleave: None,
        }) => Some(
            Concat {
                axis: *axis,
                interleave: Some(false),
            }
            .into(),
        ),
        _ => None,
    }
}

/// A sum over the last axis, the one before it, or both, as products with ones; `None` for any other node.
fn sum_by_matmul(
    r: &mut Rewriter<'_>,
    node: &Node,
    xs: &[Value],
) -> Option<Result<Results, TypeError>> {
    let (axes, keep_dims, mean) = match &node.op {
        Op::ReduceSum(op) => (&op.axes, op.keep_dims, false),
        Op::ReduceMean(op) => (&op.axes, op.keep_dims, true),
        _ => return None,
    };
    let ty = r.out.ty(xs[0]).clone();
    let rank = ty.shape.rank();
    let axes = reduce::axes("reduce_sum", axes, &ty.shape).ok()?;
    if ty.dtype != DType::Fp16 || rank < 2 || axes.iter().any(|&a| a + 2 < rank) {
        return None;
    }
    Some(build(&mut r.out, xs[0], &ty, &axes, keep_dims, mean))
}

fn build(
    g: &mut Graph,
    x: Value,
    ty: &TensorType,
    axes: &[usize],
    keep_dims: bool,
    mean: bool,
) -> Result<Results, TypeError> {
    let rank = ty.shape.rank();
    let mut sum = x;
    for &axis in axes {
        let n = ty.shape.dims()[axis];
        // The mean's factor rides on the ones: `Σ x/n` needs no pass of its own, and the products are exact or round
        // inside the wide accumulator.
        let weight = if mean { 1.0 / n as f64 } else { 1.0 };
        let ones = |shape: [usize; 2]| Literal::splat(TensorType::new(ty.dtype, shape), weight);
        sum = if axis == rank - 1 {
            let ones = g.constant(ones([n, 1]))?;
            g.matmul(sum, ones, false, false)?
        } else {
            let ones = g.constant(ones([1, n]))?;
            g.matmul(ones, sum, false, false)?
        };
    }
    if !keep_dims {
        let axes: Vec<i32> = axes
            .iter()
            .map(|&a| i32::try_from(a).expect("a rank fits an i32"))
            .collect();
        sum = g.squeeze(sum, &axes)?;
    }
    Ok(smallvec![sum])
}
