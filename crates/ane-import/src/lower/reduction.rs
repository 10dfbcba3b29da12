//! Reductions.

use super::{Cx, Lowered, Lowering, int, one, shape::declared};
use crate::{aten::Node, error::ImportError};
use ane_ir::{DType, Graph, TypeError, Value};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "sum" => |cx, node| reduced(cx, node, |g, x, axes| g.reduce_sum(x, axes, true)),
        "mean" => |cx, node| reduced(cx, node, |g, x, axes| g.reduce_mean(x, axes, true)),
        "amax" => |cx, node| reduced(cx, node, |g, x, axes| g.reduce_max(x, axes, true)),
        "amin" => |cx, node| reduced(cx, node, |g, x, axes| g.reduce_min(x, axes, true)),
        "max" => |cx, node| extreme(cx, node, |g, x, axes| g.reduce_max(x, axes, true)),
        "min" => |cx, node| extreme(cx, node, |g, x, axes| g.reduce_min(x, axes, true)),
        "logsumexp" => {
            |cx, node| reduced(cx, node, |g, x, axes| g.reduce_log_sum_exp(x, axes, true))
        }
        "var" => var,
        "argmax" => argmax,
        "cumsum" => cumsum,
        _ => return None,
    })
}

/// The axes that are reduced: all of them unless `dim` names some.
fn axes(cx: &mut Cx<'_>, node: &Node) -> Result<Vec<i32>, ImportError> {
    let rank = cx.dims(node, "self")?.len();
    let named = Cx::ints(node, "dim")?.filter(|axes| !axes.is_empty());
    match named {
        Some(axes) => axes
            .iter()
            .map(|&a| Cx::axis(node, "dim", a, rank).map(int))
            .collect(),
        None => Ok((0..rank.max(1)).map(int).collect()),
    }
}

fn reduced(
    cx: &mut Cx<'_>,
    node: &Node,
    f: impl FnOnce(&mut Graph, Value, &[i32]) -> Result<Value, TypeError>,
) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let x = match cx.g().ty(x).dtype {
        DType::Bool => cx.cast(x, DType::Fp16)?,
        _ => x,
    };
    let axes = axes(cx, node)?;
    let y = f(cx.g(), x, &axes)?;
    let shape = declared(node)?;
    one(cx.reshape(y, &shape)?)
}

/// The largest or smallest element, of all or along an axis; where it lies is not given.
fn extreme(
    cx: &mut Cx<'_>,
    node: &Node,
    f: impl FnOnce(&mut Graph, Value, &[i32]) -> Result<Value, TypeError>,
) -> Lowered {
    if Cx::is_tensor(node, "other") {
        return Err(cx.unsupported(node, "two tensors; write maximum or minimum"));
    }
    reduced(cx, node, f)
}

fn var(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let axes = axes(cx, node)?;
    let dims = cx.shape(x).dims().to_vec();
    let count: usize = axes.iter().map(|&a| dims[a as usize]).product();
    let unbiased = Cx::bool(node, "unbiased")?.unwrap_or(true);
    let correction = Cx::number(node, "correction")?.unwrap_or(if unbiased { 1.0 } else { 0.0 });
    let mean = cx.g().reduce_mean(x, &axes, true)?;
    let distance = cx.g().sub(x, mean)?;
    let square = cx.g().mul(distance, distance)?;
    let mut y = cx.g().reduce_mean(square, &axes, true)?;
    if correction != 0.0 {
        let factor = cx.scalar_like(y, count as f64 / (count as f64 - correction))?;
        y = cx.g().mul(y, factor)?;
    }
    let shape = declared(node)?;
    one(cx.reshape(y, &shape)?)
}

fn argmax(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let (x, axis) = match Cx::int(node, "dim")? {
        Some(axis) => (x, Cx::axis(node, "dim", axis, dims.len())?),
        None => (cx.reshape(x, &[dims.iter().product()])?, 0),
    };
    let y = cx.g().reduce_argmax(x, int(axis), true)?;
    let shape = declared(node)?;
    one(cx.reshape(y, &shape)?)
}

fn cumsum(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let x = match cx.g().ty(x).dtype {
        DType::Bool => cx.cast(x, DType::Int32)?,
        _ => x,
    };
    let rank = cx.dims(node, "self")?.len();
    let axis = Cx::axis(node, "dim", Cx::int(node, "dim")?.unwrap_or(0), rank)?;
    one(cx.g().cumsum(x, int(axis))?)
}
