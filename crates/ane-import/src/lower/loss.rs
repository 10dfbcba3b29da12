//! Losses that PyTorch has as ops of their own.

use super::{Cx, Lowered, Lowering, argument, int, one, shape::declared, softmax::log_of_softmax};
use crate::{aten::Node, error::ImportError};
use ane_ir::{DType, Value};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "nll_loss_forward" | "nll_loss2d_forward" | "nll_loss" | "nll_loss_nd" => nll_loss,
        "nll_loss_backward" | "nll_loss2d_backward" => nll_loss_backward,
        "cross_entropy_loss" => cross_entropy,
        "mse_loss" | "l1_loss" | "huber_loss" | "smooth_l1_loss" => distance,
        "binary_cross_entropy_with_logits" => bce_with_logits,
        "kl_div" => kl_div,
        _ => return None,
    })
}

/// What becomes of the losses of examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduction {
    None,
    Mean,
    Sum,
}

fn reduction(node: &Node) -> Result<Reduction, ImportError> {
    match Cx::int(node, "reduction")? {
        Some(0) => Ok(Reduction::None),
        None | Some(1) => Ok(Reduction::Mean),
        Some(2) => Ok(Reduction::Sum),
        Some(_) => Err(argument(node, "reduction", "0, 1 or 2")),
    }
}

/// All elements reduced.
fn reduced(cx: &mut Cx<'_>, x: Value, reduction: Reduction) -> Result<Value, ImportError> {
    let axes: Vec<i32> = (0..cx.shape(x).rank()).map(int).collect();
    let y = match reduction {
        Reduction::None => return Ok(x),
        Reduction::Mean => cx.g().reduce_mean(x, &axes, true)?,
        Reduction::Sum => cx.g().reduce_sum(x, &axes, true)?,
    };
    cx.reshape(y, &[])
}

/// The classes of a target, with the axis of classes at 1.
struct Classes {
    /// 1 at the class of every example, 0 elsewhere and for what is ignored: of the shape of the scores.
    hot: Value,
    /// The weight of every example, the scores' shape with one class.
    weight: Value,
    /// Shape of the scores, with a batch in front.
    dims: Vec<usize>,
}

/// Targets of `scores` [N, C, …] or [C].
fn classes(cx: &mut Cx<'_>, node: &Node, scores: &str) -> Result<Classes, ImportError> {
    let mut dims = cx.dims(node, scores)?;
    if dims.len() == 1 {
        dims.insert(0, 1);
    }
    let target = cx.tensor(node, "target")?;
    if cx.g().ty(target).dtype != DType::Int32 {
        return Err(argument(node, "target", "class indices"));
    }
    let mut of_target = dims.clone();
    of_target.remove(1);
    let target = cx.reshape(target, &of_target)?;
    // An index out of range, such as the usual -100, is on nowhere.
    let real = cx.in_frame(DType::Fp16);
    let mut hot = cx.g().one_hot(target, int(dims[1]), 1, real)?;
    let ignored = Cx::int(node, "ignore_index")?.unwrap_or(-100);
    if (0..dims[1] as i64).contains(&ignored) {
        let ignored = cx.number_of(DType::Int32, ignored as f64)?;
        let ignored = cx.g().equal(target, ignored)?;
        let mut single = dims.clone();
        single[1] = 1;
        let ignored = cx.reshape(ignored, &single)?;
        let zero = cx.real(0.0)?;
        hot = cx.g().select(ignored, zero, hot)?;
    }
    let weighted = match cx.optional_tensor(node, "weight")? {
        Some(weight) => {
            let mut shape = vec![1; dims.len()];
            shape[1] = dims[1];
            let weight = cx.reshape(weight, &shape)?;
            cx.g().mul(hot, weight)?
        }
        None => hot,
    };
    let weight = cx.g().reduce_sum(weighted, &[1], true)?;
    Ok(Classes { hot, weight, dims })
}

/// −score of every example's class times its weight, and the weights.
fn nll(cx: &mut Cx<'_>, node: &Node, scores: &str, x: Value) -> Result<[Value; 2], ImportError> {
    let classes = classes(cx, node, scores)?;
    let x = cx.reshape(x, &classes.dims)?;
    // A choice and no product: a class that is not meant may be impossible.
    let zero = cx.real(0.0)?;
    let is_off = cx.g().equal(classes.hot, zero)?;
    let picked = cx.g().select(is_off, zero, x)?;
    let picked = cx.g().reduce_sum(picked, &[1], true)?;
    let weighted = cx.g().mul(picked, classes.weight)?;
    let minus = cx.real(-1.0)?;
    Ok([cx.g().mul(weighted, minus)?, classes.weight])
}

/// Losses of examples and their weights, reduced; and the sum of the weights. A mean divides by the weights.
fn weighted_reduction(cx: &mut Cx<'_>, node: &Node, [loss, weight]: [Value; 2]) -> Lowered {
    let total = reduced(cx, weight, Reduction::Sum)?;
    let loss = match reduction(node)? {
        Reduction::None => {
            let shape = declared(node)?;
            cx.reshape(loss, &shape)?
        }
        Reduction::Sum => reduced(cx, loss, Reduction::Sum)?,
        Reduction::Mean => {
            // Both as means: sums over many examples would leave fp16.
            let loss = reduced(cx, loss, Reduction::Mean)?;
            let weight = reduced(cx, weight, Reduction::Mean)?;
            cx.g().real_div(loss, weight)?
        }
    };
    Ok(vec![Some(loss), Some(total)])
}

fn nll_loss(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let parts = nll(cx, node, "self", x)?;
    weighted_reduction(cx, node, parts)
}

/// −ct·weight at the class of every example, divided by the sum of weights in a mean.
fn nll_loss_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let classes = classes(cx, node, "self")?;
    let mut ct = cx.real_tensor(node, "grad_output")?;
    let mut weight = classes.weight;
    match reduction(node)? {
        Reduction::None => {
            let mut single = classes.dims.clone();
            single[1] = 1;
            ct = cx.reshape(ct, &single)?;
        }
        Reduction::Sum => {}
        Reduction::Mean => {
            let examples = cx.shape(weight).numel();
            let mean = reduced(cx, weight, Reduction::Mean)?;
            let count = cx.real(examples as f64)?;
            ct = cx.g().real_div(ct, count)?;
            weight = cx.g().real_div(weight, mean)?;
        }
    }
    let minus = cx.real(-1.0)?;
    let factor = cx.g().mul(weight, ct)?;
    let factor = cx.g().mul(factor, minus)?;
    let y = cx.g().mul(classes.hot, factor)?;
    let shape = declared(node)?;
    one(cx.reshape(y, &shape)?)
}

/// Softmax cross-entropy of class indices or of probabilities, with smoothing.
fn cross_entropy(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let dims = cx.dims(node, "self")?;
    let axis = if dims.len() == 1 { 0 } else { 1 };
    let scores = log_of_softmax(cx.g(), x, axis)?;
    let target = cx.tensor(node, "target")?;
    let smoothing = Cx::number(node, "label_smoothing")?.unwrap_or(0.0);
    let by_probability = cx.g().ty(target).dtype != DType::Int32;
    if by_probability || smoothing != 0.0 {
        return smoothed(cx, node, scores, by_probability, smoothing);
    }
    let parts = nll(cx, node, "self", scores)?;
    Ok(vec![weighted_reduction(cx, node, parts)?[0]])
}

/// −Σ target·score·weight, where the target is (1 − s)·target + s/C.
fn smoothed(
    cx: &mut Cx<'_>,
    node: &Node,
    scores: Value,
    by_probability: bool,
    smoothing: f64,
) -> Lowered {
    let dims = cx.dims(node, "self")?;
    if dims.len() == 1 {
        return Err(cx.unsupported(node, "scores without a batch"));
    }
    let count = dims[1] as f64;
    let target = if by_probability {
        cx.real_tensor(node, "target")?
    } else {
        classes(cx, node, "self")?.hot
    };
    let (minus, keep) = (cx.real(-1.0)?, cx.real(1.0 - smoothing)?);
    let mut weighted = scores;
    let weight = cx.optional_tensor(node, "weight")?;
    if let Some(weight) = weight {
        let mut shape = vec![1; dims.len()];
        shape[1] = dims[1];
        let weight = cx.reshape(weight, &shape)?;
        weighted = cx.g().mul(scores, weight)?;
    }
    let of_target = cx.g().mul(weighted, target)?;
    let of_target = cx.g().reduce_sum(of_target, &[1], true)?;
    let mut loss = cx.g().mul(of_target, keep)?;
    let weights = if by_probability {
        None
    } else {
        Some(classes(cx, node, "self")?.weight)
    };
    if smoothing != 0.0 {
        let all = cx.g().reduce_sum(weighted, &[1], true)?;
        let share = cx.real(smoothing / count)?;
        let mut all = cx.g().mul(all, share)?;
        if let Some(weights) = weights {
            // What is ignored has no loss.
            let present = cx.cast(weights, DType::Bool)?;
            let present = cx.cast(present, DType::Fp16)?;
            all = cx.g().mul(all, present)?;
        }
        loss = cx.g().add(loss, all)?;
    }
    let loss = cx.g().mul(loss, minus)?;
    if let Some(weights) = weights {
        return Ok(vec![weighted_reduction(cx, node, [loss, weights])?[0]]);
    }
    let reduction = reduction(node)?;
    if reduction == Reduction::None {
        let shape = declared(node)?;
        return one(cx.reshape(loss, &shape)?);
    }
    one(reduced(cx, loss, reduction)?)
}

/// Losses of the distance between `self` and `target`.
fn distance(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let target = cx.real_tensor(node, "target")?;
    let d = cx.g().sub(x, target)?;
    let loss = match node.op() {
        "mse_loss" => cx.g().mul(d, d)?,
        "l1_loss" => cx.g().abs(d)?,
        name => {
            let key = if name == "huber_loss" {
                "delta"
            } else {
                "beta"
            };
            let delta = Cx::number(node, key)?.unwrap_or(1.0);
            // ½d² up to delta, and delta·(|d| − ½·delta) beyond; `smooth_l1_loss` divides that by delta.
            let size = cx.g().abs(d)?;
            let bound = cx.real(delta)?;
            let near = cx.g().minimum(size, bound)?;
            let half = cx.real(0.5)?;
            let inner = cx.g().mul(near, half)?;
            let reach = cx.g().sub(size, inner)?;
            let loss = cx.g().mul(near, reach)?;
            if name == "smooth_l1_loss" {
                cx.g().real_div(loss, bound)?
            } else {
                loss
            }
        }
    };
    let reduction = reduction(node)?;
    one(reduced(cx, loss, reduction)?)
}

/// max(x, 0) − x·target + ln(1 + e^−|x|), with weights and the weight of what is positive.
fn bce_with_logits(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let target = cx.real_tensor(node, "target")?;
    // softplus(x) − x·target, and with pos_weight p: (1 − t)·x + (1 + (p − 1)·t)·softplus(−x).
    let unit = cx.real(1.0)?;
    let minus = cx.real(-1.0)?;
    let mut loss = match cx.optional_tensor(node, "pos_weight")? {
        None => {
            let all = cx.g().softplus(x)?;
            let part = cx.g().mul(x, target)?;
            cx.g().sub(all, part)?
        }
        Some(p) => {
            let rest = cx.g().sub(unit, target)?;
            let linear = cx.g().mul(rest, x)?;
            let excess = cx.g().sub(p, unit)?;
            let excess = cx.g().mul(excess, target)?;
            let factor = cx.g().add(excess, unit)?;
            let negative = cx.g().mul(x, minus)?;
            let curve = cx.g().softplus(negative)?;
            let curve = cx.g().mul(factor, curve)?;
            cx.g().add(linear, curve)?
        }
    };
    if let Some(weight) = cx.optional_tensor(node, "weight")? {
        loss = cx.g().mul(loss, weight)?;
    }
    let reduction = reduction(node)?;
    one(reduced(cx, loss, reduction)?)
}

/// t·(ln t − x), or eᵗ·(t − x) where targets are logarithms.
fn kl_div(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let target = cx.real_tensor(node, "target")?;
    let by_logarithm = Cx::bool(node, "log_target")?.unwrap_or(false);
    let loss = if by_logarithm {
        let d = cx.g().sub(target, x)?;
        let p = cx.g().exp(target)?;
        cx.g().mul(p, d)?
    } else {
        // 0·ln 0 is 0.
        let zero = cx.real(0.0)?;
        let is_zero = cx.g().equal(target, zero)?;
        let unit = cx.real(1.0)?;
        let safe = cx.g().select(is_zero, unit, target)?;
        let log = cx.g().log(safe, 0.0)?;
        let d = cx.g().sub(log, x)?;
        cx.g().mul(target, d)?
    };
    let reduction = reduction(node)?;
    one(reduced(cx, loss, reduction)?)
}
