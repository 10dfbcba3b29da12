//! What the target lacks, in terms of what it has.
//!
//! | before | after, on chip targets |
//! |---|---|
//! | an op the target refuses | its `decompose` |
//! | `reduce_sum`, `reduce_mean` of a matrix or more | `matmul` with ones, once for every run of reduced axes |
//! | `rsqrt`, `log`, `inverse` without `epsilon`; `concat` without `interleave` | the parameter said |
//!
//! Sums by matmul do not depend on what the silicon's `reduce_sum` does, about which reports differ.

use super::{PassError, Rewriter, rewrite};
use crate::{
    graph::{Graph, Node, Results, Value},
    ops::{
        Op, TypeError,
        concat::Concat,
        inverse::{self, Inverse},
        log::Log,
        rsqrt::Rsqrt,
        support::{self, reduce},
    },
    target::{OpSupport, Target},
    tensor::Literal,
    types::{DType, Shape, TensorType},
};
use smallvec::smallvec;
use std::ops::Range;

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
        if let Some(sum) = sum_by_matmul(r, node, xs, target) {
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
        Op::Inverse(Inverse { epsilon: None }) => Some(
            Inverse {
                epsilon: Some(inverse::DEFAULT_EPSILON),
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

/// A sum as products with ones; `None` for any other node, and for sums that have no such form.
fn sum_by_matmul(
    r: &mut Rewriter<'_>,
    node: &Node,
    xs: &[Value],
    target: &Target,
) -> Option<Result<Results, TypeError>> {
    let (axes, keep_dims, mean) = match &node.op {
        Op::ReduceSum(op) => (&op.axes, op.keep_dims, false),
        Op::ReduceMean(op) => (&op.axes, op.keep_dims, true),
        _ => return None,
    };
    let ty = r.out.ty(xs[0]).clone();
    let axes = reduce::axes("reduce_sum", axes, &ty.shape).ok()?;
    if ty.dtype != DType::Fp16 || ty.shape.rank() < 2 {
        return None;
    }
    let longest = target.max_axis().unwrap_or(usize::MAX);
    let runs = runs(&axes, &ty.shape, longest);
    // A run before the last axis is summed over rows of what lies behind it, where reduced axes are summed already.
    let kept = |axis: &usize| !axes.contains(axis);
    let fits = |run: &Range<usize>| {
        let behind = (run.end..ty.shape.rank()).filter(kept);
        behind.map(|axis| ty.shape.dims()[axis]).product::<usize>() <= longest
    };
    if !runs.iter().all(fits) {
        return None;
    }
    Some(build(&mut r.out, xs[0], &ty, &runs, &axes, keep_dims, mean))
}

/// Neighbouring reduced axes that are summed at once, the last first: of matrices each axis by itself, elsewhere as many
/// as stay below `longest` elements together.
fn runs(axes: &[usize], x: &Shape, longest: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &axis in axes.iter().rev() {
        match runs.last_mut() {
            Some(run)
                if x.rank() > 2
                    && run.start == axis + 1
                    && x.dims()[axis..run.end].iter().product::<usize>() <= longest =>
            {
                run.start = axis;
            }
            _ => runs.push(axis..axis + 1),
        }
    }
    runs
}

fn build(
    g: &mut Graph,
    x: Value,
    ty: &TensorType,
    runs: &[Range<usize>],
    axes: &[usize],
    keep_dims: bool,
    mean: bool,
) -> Result<Results, TypeError> {
    let rank = ty.shape.rank();
    let mut dims = ty.shape.dims().to_vec();
    let mut sum = x;
    for run in runs {
        let n: usize = dims[run.clone()].iter().product();
        // The mean's factor rides on the ones: `Σ x/n` needs no pass of its own, and the products are exact or round
        // inside the wide accumulator. One factor a run keeps each of them normal in fp16.
        let weight = if mean { 1.0 / n as f64 } else { 1.0 };
        let ones = |shape: [usize; 2]| Literal::splat(TensorType::new(ty.dtype, shape), weight);
        let behind: usize = dims[run.end..].iter().product();
        // A product wants a row even of what is summed as a whole.
        let rows = |length: usize| -> Shape {
            let alone = run.start == 0 && run.end == rank;
            let behind = (run.end < rank).then_some(behind);
            let before = dims[..run.start].iter().copied();
            alone
                .then_some(1)
                .into_iter()
                .chain(before)
                .chain([length])
                .chain(behind)
                .collect()
        };
        let matrix = support::view(g, sum, &rows(n))?;
        sum = if run.end == rank {
            let ones = g.constant(ones([n, 1]))?;
            g.matmul(matrix, ones, false, false)?
        } else {
            let ones = g.constant(ones([1, n]))?;
            g.matmul(ones, matrix, false, false)?
        };
        dims[run.clone()].fill(1);
        sum = support::view(g, sum, &Shape::new(&dims))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chip, Numerics, Route, Tensor, eval, ops::Fill, testing};

    /// Sums and means over every set of axes are products with ones, of the same value.
    #[test]
    fn sums_over_any_axes_become_products() {
        let target = Target::new(Chip::H13, Route::E5rt);
        for dims in [&[4, 3][..], &[2, 3, 4], &[2, 3, 4, 5], &[64, 1, 1, 1]] {
            for set in 1..1_u32 << dims.len() {
                let axes: Vec<i32> = (0..dims.len() as i32)
                    .filter(|a| set >> a & 1 == 1)
                    .collect();
                for (mean, keep_dims) in [(false, false), (false, true), (true, true)] {
                    let mut g = Graph::new();
                    let x = g.input("x", TensorType::fp16(dims)).unwrap();
                    let y = match mean {
                        false => g.reduce_sum(x, &axes, keep_dims),
                        true => g.reduce_mean(x, &axes, keep_dims),
                    };
                    g.output("y", y.unwrap()).unwrap();
                    let legal = run(&g, &target).unwrap();
                    assert!(
                        legal.nodes().iter().any(|n| n.op.name() == "matmul"),
                        "{legal}"
                    );
                    let is_sum = |n: &Node| n.op.name().starts_with("reduce");
                    assert!(!legal.nodes().iter().any(is_sum), "{legal}");
                    let at: Tensor<f64> = testing::tensor(g.ty(x), Fill::Signed, 5);
                    let want = eval(&g, std::slice::from_ref(&at), &Numerics::exact()).unwrap();
                    let found = eval(&legal, &[at], &Numerics::exact()).unwrap();
                    assert_eq!(want[0].ty, found[0].ty);
                    for (want, found) in want[0].data.iter().zip(&found[0].data) {
                        // A factor 1/n is rounded to fp16 once for every run of axes.
                        let bound = 2e-3 * want.abs().max(1.0);
                        assert!((want - found).abs() <= bound, "{want} {found}\n{legal}");
                    }
                }
            }
        }
    }

    /// Behind the images lies one row of channels once the pixels are summed, though the image itself is longer than an
    /// axis may be.
    #[test]
    fn what_is_summed_already_makes_no_row_too_long() {
        let target = Target::new(Chip::H13, Route::E5rt);
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 64, 16, 17])).unwrap();
        let y = g.reduce_sum(x, &[0, 2, 3], false).unwrap();
        g.output("y", y).unwrap();
        let legal = run(&g, &target).unwrap();
        let is_sum = |n: &Node| n.op.name().starts_with("reduce");
        assert!(!legal.nodes().iter().any(is_sum), "{legal}");
    }
}
