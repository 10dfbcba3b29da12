//! Softmax, its logarithm, and their gradients.

use super::{Cx, Lowered, Lowering, argument, int, one};
use crate::{aten::Node, error::ImportError};
use ane_ir::{Graph, TypeError, Value};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "softmax" | "_softmax" | "_safe_softmax" => softmax,
        "log_softmax" | "_log_softmax" => log_softmax,
        "_softmax_backward_data" => softmax_backward,
        "_log_softmax_backward_data" => log_softmax_backward,
        _ => return None,
    })
}

fn axis(cx: &mut Cx<'_>, node: &Node, of: &str) -> Result<i32, ImportError> {
    let rank = cx.dims(node, of)?.len();
    let axis = Cx::int(node, "dim")?.ok_or_else(|| argument(node, "dim", "an axis"))?;
    Ok(int(Cx::axis(node, "dim", axis, rank)?))
}

fn softmax(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let axis = axis(cx, node, "self")?;
    one(cx.g().softmax(x, axis)?)
}

/// x − ln Σ eˣ, where the largest x is taken off first.
pub(super) fn log_of_softmax(g: &mut Graph, x: Value, axis: i32) -> Result<Value, TypeError> {
    let max = g.reduce_max(x, &[axis], true)?;
    let max = g.stop_gradient(max)?;
    let shifted = g.sub(x, max)?;
    let normaliser = g.reduce_log_sum_exp(shifted, &[axis], true)?;
    g.sub(shifted, normaliser)
}

fn log_softmax(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let axis = axis(cx, node, "self")?;
    one(log_of_softmax(cx.g(), x, axis)?)
}

/// y·(ct − Σ ct·y).
fn softmax_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let y = cx.real_tensor(node, "output")?;
    let axis = axis(cx, node, "output")?;
    let g = cx.g();
    let product = g.mul(ct, y)?;
    let sum = g.reduce_sum(product, &[axis], true)?;
    let rest = g.sub(ct, sum)?;
    one(g.mul(y, rest)?)
}

/// ct − eʸ·Σ ct.
fn log_softmax_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let y = cx.real_tensor(node, "output")?;
    let axis = axis(cx, node, "output")?;
    let g = cx.g();
    let sum = g.reduce_sum(ct, &[axis], true)?;
    let shares = g.exp(y)?;
    let product = g.mul(shares, sum)?;
    one(g.sub(ct, product)?)
}
