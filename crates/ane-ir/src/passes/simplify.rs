//! Algebra that holds bit for bit.
//!
//! | before | after |
//! |---|---|
//! | `identity(x)`, `reshape(x)` to its own shape, `cast(x)` to its own dtype | `x` |
//! | `mul(x, 1)`, `real_div(x, 1)` of equal shape | `x` |
//! | `mul(x, -1)` then `add(y, ·)` | `sub(y, x)` |
//! | `reshape(reshape(x))` | `reshape(x)` |
//! | `transpose(transpose(x))` | `transpose(x)`, or `x` where the two cancel |
//! | `mul(x, ones)` that only broadcasts, into an elementwise op that broadcasts too | the op on `x` |
//!
//! Nothing here is chosen by cost; each row removes a node. The loss' cotangent `ct·softmax − ct·target` is rewritten to
//! `(softmax − target)·ct` neither here nor elsewhere: it would round differently.

use super::{PassError, Rewriter, rewrite};
use crate::{
    graph::{Graph, Node, Value},
    ops::{Op, support, transpose::Transpose},
    target::Target,
};
use smallvec::smallvec;

pub(super) fn run(graph: &Graph, _: &Target) -> Result<Graph, PassError> {
    rewrite("simplify", graph, |r, node, xs| {
        let ty = graph.ty(node.results[0]);
        // A stop mark sits on its identity until differentiation is over, which it is when passes run; removing the
        // node removes the mark.
        if let Some(same) = unchanged(r, node, xs)
            && r.out.ty(same) == ty
        {
            return Ok(Some(smallvec![same]));
        }
        let made = match &node.op {
            Op::Reshape(op) => reshape_source(r, xs[0]).map(|x| r.out.push(op.clone(), &[x])),
            Op::Transpose(op) => {
                let before = transpose_source(r, xs[0]);
                before
                    .zip(permutation(op, xs[0], r))
                    .map(|((x, inner), outer)| {
                        let both: Vec<i32> = outer.iter().map(|&axis| inner[axis]).collect();
                        if both.iter().zip(0..).all(|(&axis, i)| axis == i) {
                            return Ok(x);
                        }
                        r.out.transpose(x, &both)
                    })
            }
            Op::Add(_) => {
                let negated = |v: Value| negation(r, v);
                match (negated(xs[0]), negated(xs[1])) {
                    (_, Some(x)) => Some(r.out.sub(xs[0], x)),
                    (Some(x), None) => Some(r.out.sub(xs[1], x)),
                    (None, None) => None,
                }
            }
            op if op.broadcasts() => {
                let plain: Vec<Value> = xs
                    .iter()
                    .map(|&x| broadcast_source(r, x).unwrap_or(x))
                    .collect();
                let fits = plain != xs
                    && plain
                        .iter()
                        .try_fold(crate::Shape::default(), |s, &x| {
                            s.broadcast(&r.out.ty(x).shape)
                        })
                        .is_some_and(|s| s == ty.shape);
                fits.then(|| r.out.push(op.clone(), &plain))
            }
            _ => None,
        };
        made.transpose()
            .map(|v| v.map(|v| smallvec![v]))
            .map_err(|source| PassError::Type {
                pass: "simplify",
                source,
            })
    })
}

/// The operand that the node returns unchanged, up to its type.
fn unchanged(r: &Rewriter<'_>, node: &Node, xs: &[Value]) -> Option<Value> {
    let is = |v: Value, x: f64| r.out.literal(v).and_then(|l| l.splat_value()) == Some(x);
    match &node.op {
        Op::Identity(_) | Op::Reshape(_) | Op::Cast(_) | Op::ExpandDims(_) | Op::Squeeze(_) => {
            Some(xs[0])
        }
        Op::Mul(_) if is(xs[1], 1.0) => Some(xs[0]),
        Op::Mul(_) if is(xs[0], 1.0) => Some(xs[1]),
        Op::RealDiv(_) if is(xs[1], 1.0) => Some(xs[0]),
        _ => None,
    }
}

/// `x` when `v` is `mul(x, -1)` of the same shape.
fn negation(r: &Rewriter<'_>, v: Value) -> Option<Value> {
    let node = r.out.node_of(v)?;
    let minus_one = |v: Value| r.out.literal(v).and_then(|l| l.splat_value()) == Some(-1.0);
    match (&node.op, &node.operands[..]) {
        (Op::Mul(_), &[x, c]) if minus_one(c) && r.out.ty(x) == r.out.ty(v) => Some(x),
        (Op::Mul(_), &[c, x]) if minus_one(c) && r.out.ty(x) == r.out.ty(v) => Some(x),
        _ => None,
    }
}

/// `x` when `v` is `mul(x, ones)`, which only repeats.
fn broadcast_source(r: &Rewriter<'_>, v: Value) -> Option<Value> {
    let node = r.out.node_of(v)?;
    let ones = |v: Value| r.out.literal(v).and_then(|l| l.splat_value()) == Some(1.0);
    match (&node.op, &node.operands[..]) {
        (Op::Mul(_), &[x, c]) if ones(c) => Some(x),
        _ => None,
    }
}

/// The axes of `x` in the order that `op` gives them.
fn permutation(op: &Transpose, x: Value, r: &Rewriter<'_>) -> Option<Vec<usize>> {
    op.axes_of(&r.out.ty(x).shape)
        .ok()
        .map(|axes| axes.to_vec())
}

/// `x` and the order of its axes when `v` is a transpose of it.
fn transpose_source(r: &Rewriter<'_>, v: Value) -> Option<(Value, Vec<i32>)> {
    let node = r.out.node_of(v)?;
    let Op::Transpose(op) = &node.op else {
        return None;
    };
    let axes = permutation(op, node.operands[0], r)?;
    Some((node.operands[0], support::window::ints(axes)))
}

/// `x` when `v` is a reshape of it.
fn reshape_source(r: &Rewriter<'_>, v: Value) -> Option<Value> {
    let node = r.out.node_of(v)?;
    match node.op {
        Op::Reshape(_) | Op::ExpandDims(_) | Op::Squeeze(_) => Some(node.operands[0]),
        _ => None,
    }
}
