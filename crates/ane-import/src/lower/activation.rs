//! Activations and their gradients.

use super::{Cx, Lowered, Lowering, one};
use crate::{
    aten::{Arg, Node},
    error::ImportError,
};
use ane_ir::{Graph, TypeError, Value, ops::gelu::Mode};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "relu" => |cx, node| unary(cx, node, |g, x| g.relu(x)),
        "sigmoid" => |cx, node| unary(cx, node, |g, x| g.sigmoid(x)),
        "tanh" => |cx, node| unary(cx, node, |g, x| g.tanh(x)),
        "silu" => |cx, node| unary(cx, node, |g, x| g.silu(x)),
        "relu6" => |cx, node| unary(cx, node, |g, x| g.clip(x, 0.0, 6.0)),
        "mish" => |cx, node| unary(cx, node, mish),
        "log_sigmoid" => |cx, node| unary(cx, node, log_sigmoid),
        "log_sigmoid_forward" => log_sigmoid_forward,
        "hardswish" => |cx, node| unary(cx, node, hardswish),
        "hardsigmoid" => |cx, node| unary(cx, node, hardsigmoid),
        "softplus" => softplus,
        "gelu" => gelu,
        "leaky_relu" => leaky_relu,
        "elu" | "celu" | "selu" => elu,
        "hardtanh" => hardtanh,
        "prelu" | "_prelu_kernel" => prelu,
        "threshold_backward" => threshold_backward,
        "gelu_backward" => gelu_backward,
        "silu_backward" => |cx, node| backward(cx, node, |g, x| g.silu(x)),
        "tanh_backward" => tanh_backward,
        "sigmoid_backward" => sigmoid_backward,
        "hardswish_backward" => |cx, node| backward(cx, node, hardswish),
        "mish_backward" => |cx, node| backward(cx, node, mish),
        "log_sigmoid_backward" => |cx, node| backward(cx, node, log_sigmoid),
        _ => return None,
    })
}

fn unary(
    cx: &mut Cx<'_>,
    node: &Node,
    f: impl FnOnce(&mut Graph, Value) -> Result<Value, TypeError>,
) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    one(f(cx.g(), x)?)
}

/// The gradient of a function of `self` for the cotangent `grad_output`.
fn backward(
    cx: &mut Cx<'_>,
    node: &Node,
    f: impl FnOnce(&mut Graph, Value) -> Result<Value, TypeError>,
) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let x = cx.real_tensor(node, "self")?;
    cx.vjp(&[x], &[ct], &[0], |g, x| Ok(vec![f(g, x[0])?]))
}

fn mish(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let y = g.softplus(x)?;
    let y = g.tanh(y)?;
    g.mul(x, y)
}

fn log_sigmoid(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let minus = g.scalar(g.ty(x).dtype, -1.0)?;
    let y = g.mul(x, minus)?;
    let y = g.softplus(y)?;
    g.mul(y, minus)
}

fn log_sigmoid_forward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    Ok(vec![Some(log_sigmoid(cx.g(), x)?), None])
}

fn hardsigmoid(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let dtype = g.ty(x).dtype;
    let three = g.scalar(dtype, 3.0)?;
    let y = g.add(x, three)?;
    let y = g.clip(y, 0.0, 6.0)?;
    let six = g.scalar(dtype, 6.0)?;
    g.real_div(y, six)
}

fn hardswish(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let y = hardsigmoid(g, x)?;
    g.mul(x, y)
}

fn softplus(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    // Above `threshold` PyTorch gives x itself, which in fp16 the function does by itself from 17 on.
    let beta = Cx::number(node, "beta")?.unwrap_or(1.0);
    if beta == 1.0 {
        return one(cx.g().softplus(x)?);
    }
    let beta = cx.scalar_like(x, beta)?;
    let y = cx.g().mul(x, beta)?;
    let y = cx.g().softplus(y)?;
    one(cx.g().real_div(y, beta)?)
}

fn gelu_mode(node: &Node) -> Mode {
    match node.arg("approximate") {
        Some(Arg::Str(name)) if name == "tanh" => Mode::TanhApproximation,
        _ => Mode::Exact,
    }
}

fn gelu(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let mode = gelu_mode(node);
    unary(cx, node, |g, x| g.gelu(x, mode))
}

fn gelu_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let mode = gelu_mode(node);
    backward(cx, node, |g, x| g.gelu(x, mode))
}

fn leaky_relu(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let slope = Cx::number(node, "negative_slope")?.unwrap_or(0.01);
    unary(cx, node, |g, x| g.leaky_relu(x, slope))
}

/// scale·(max(x, 0) + alpha·(e^(min(x, 0)·input_scale) − 1)).
fn elu(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    // The constants of `selu` are PyTorch's.
    let (alpha, scale, input_scale) = match node.op() {
        "selu" => (1.673_263_242_354_377_2, 1.050_700_987_355_480_5, 1.0),
        "celu" => {
            let alpha = Cx::number(node, "alpha")?.unwrap_or(1.0);
            (alpha, 1.0, 1.0 / alpha)
        }
        _ => (
            Cx::number(node, "alpha")?.unwrap_or(1.0),
            Cx::number(node, "scale")?.unwrap_or(1.0),
            Cx::number(node, "input_scale")?.unwrap_or(1.0),
        ),
    };
    let x = cx.real_tensor(node, "self")?;
    let zero = cx.scalar_like(x, 0.0)?;
    let times = |cx: &mut Cx<'_>, x: Value, factor: f64| -> Result<Value, ImportError> {
        if factor == 1.0 {
            return Ok(x);
        }
        let factor = cx.scalar_like(x, factor)?;
        Ok(cx.g().mul(x, factor)?)
    };
    let above = cx.g().relu(x)?;
    let below = cx.g().minimum(x, zero)?;
    let below = times(cx, below, input_scale)?;
    let below = cx.g().exp(below)?;
    let unit = cx.scalar_like(x, 1.0)?;
    let below = cx.g().sub(below, unit)?;
    let below = times(cx, below, alpha)?;
    let y = cx.g().add(above, below)?;
    one(times(cx, y, scale)?)
}

fn hardtanh(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let low = Cx::number(node, "min_val")?.unwrap_or(-1.0);
    let high = Cx::number(node, "max_val")?.unwrap_or(1.0);
    unary(cx, node, |g, x| g.clip(x, low, high))
}

/// max(x, 0) + weight·min(x, 0), with a weight per channel.
fn prelu(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let rank = cx.dims(node, "self")?.len();
    let x = cx.real_tensor(node, "self")?;
    let mut weight = cx.real_tensor(node, "weight")?;
    let dims = cx.dims(node, "weight")?;
    if node.op() == "prelu" && dims.len() == 1 && rank >= 2 {
        let mut shape = vec![1; rank];
        shape[1] = dims[0];
        weight = cx.reshape(weight, &shape)?;
    }
    let zero = cx.scalar_like(x, 0.0)?;
    let above = cx.g().relu(x)?;
    let below = cx.g().minimum(x, zero)?;
    let below = cx.g().mul(below, weight)?;
    one(cx.g().add(above, below)?)
}

fn threshold_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let x = cx.real_tensor(node, "self")?;
    let threshold = Cx::number(node, "threshold")?.unwrap_or(0.0);
    let threshold = cx.scalar_like(x, threshold)?;
    let passes = cx.g().greater(x, threshold)?;
    let zero = cx.scalar_like(ct, 0.0)?;
    one(cx.g().select(passes, ct, zero)?)
}

/// ct·(1 − y²), of the function's own result.
fn tanh_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let y = cx.real_tensor(node, "output")?;
    let square = cx.g().mul(y, y)?;
    let unit = cx.scalar_like(y, 1.0)?;
    let slope = cx.g().sub(unit, square)?;
    one(cx.g().mul(ct, slope)?)
}

/// ct·y·(1 − y), of the function's own result.
fn sigmoid_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let y = cx.real_tensor(node, "output")?;
    let unit = cx.scalar_like(y, 1.0)?;
    let rest = cx.g().sub(unit, y)?;
    let slope = cx.g().mul(y, rest)?;
    one(cx.g().mul(ct, slope)?)
}
