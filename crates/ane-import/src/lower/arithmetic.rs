//! Arithmetic, element by element.

use super::{Cx, Lowered, Lowering, argument, one};
use crate::{
    aten::{Arg, Node},
    error::ImportError,
};
use ane_ir::{DType, Graph, TypeError, Value};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "add" => add,
        "sub" => sub,
        "rsub" => rsub,
        "mul" => mul,
        "div" | "true_divide" => div,
        "neg" => neg,
        "pow" => pow,
        "square" => square,
        "reciprocal" => reciprocal,
        "sqrt" => sqrt,
        "rsqrt" => rsqrt,
        "exp" => exp,
        "log" => log,
        "log1p" => log1p,
        "abs" => abs,
        "sign" => sign,
        "erf" => erf,
        "sin" => |cx, node| unary(cx, node, |g, x| g.sin(x)),
        "cos" => |cx, node| unary(cx, node, |g, x| g.cos(x)),
        "floor" => |cx, node| unary(cx, node, |g, x| g.floor(x)),
        "ceil" => |cx, node| unary(cx, node, |g, x| g.ceil(x)),
        "round" => |cx, node| unary(cx, node, |g, x| g.round(x)),
        "expm1" => expm1,
        "maximum" => maximum,
        "minimum" => minimum,
        "clamp" | "clip" => clamp,
        "clamp_min" => clamp_min,
        "clamp_max" => clamp_max,
        "addcmul" => addcmul,
        "addcdiv" => addcdiv,
        "lerp" => lerp,
        _ => return None,
    })
}

/// The element type that values of several compute in together.
pub(super) fn common(cx: &mut Cx<'_>, values: &[Value]) -> DType {
    let types: Vec<DType> = values.iter().map(|&v| cx.g().ty(v).dtype).collect();
    let order = [DType::Fp32, DType::Fp16, DType::Int32];
    let found = order.into_iter().find(|d| types.contains(d));
    found.unwrap_or(DType::Bool)
}

/// The operand `name`, a tensor or a number, once the other operand is known.
fn operand(cx: &mut Cx<'_>, node: &Node, name: &str, like: DType) -> Result<Value, ImportError> {
    if Cx::is_tensor(node, name) {
        return cx.tensor(node, name);
    }
    let number =
        Cx::number(node, name)?.ok_or_else(|| argument(node, name, "a tensor or number"))?;
    let is_float = matches!(node.arg(name), Some(Arg::Float(_)));
    let dtype = match like {
        DType::Bool | DType::Int32 if is_float => DType::Fp16,
        DType::Bool => DType::Int32,
        other => other,
    };
    cx.number_of(dtype, number)
}

/// The operands `self` and `other`, of one element type.
fn pair(cx: &mut Cx<'_>, node: &Node) -> Result<[Value; 2], ImportError> {
    let named = ["self", "other"];
    let like = named.iter().find(|name| Cx::is_tensor(node, name));
    let like = like.ok_or_else(|| argument(node, "self", "a tensor"))?;
    let like = cx.tensor(node, like)?;
    let dtype = cx.g().ty(like).dtype;
    let a = operand(cx, node, "self", dtype)?;
    let b = operand(cx, node, "other", dtype)?;
    of_one_type(cx, [a, b])
}

/// Two values in the element type that they compute in together.
pub(super) fn of_one_type(cx: &mut Cx<'_>, [a, b]: [Value; 2]) -> Result<[Value; 2], ImportError> {
    let dtype = match common(cx, &[a, b]) {
        // Sums and products of truth values count.
        DType::Bool => DType::Int32,
        other => other,
    };
    Ok([cx.cast(a, dtype)?, cx.cast(b, dtype)?])
}

/// `other` times the argument `alpha`.
fn scaled(cx: &mut Cx<'_>, node: &Node, x: Value) -> Result<Value, ImportError> {
    match Cx::number(node, "alpha")? {
        None | Some(1.0) => Ok(x),
        Some(alpha) => {
            let alpha = cx.scalar_like(x, alpha)?;
            Ok(cx.g().mul(x, alpha)?)
        }
    }
}

fn add(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let [a, b] = pair(cx, node)?;
    let b = scaled(cx, node, b)?;
    one(cx.g().add(a, b)?)
}

fn sub(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let [a, b] = pair(cx, node)?;
    let b = scaled(cx, node, b)?;
    one(cx.g().sub(a, b)?)
}

fn rsub(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let [a, b] = pair(cx, node)?;
    let a = scaled(cx, node, a)?;
    one(cx.g().sub(b, a)?)
}

fn mul(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let [a, b] = pair(cx, node)?;
    one(cx.g().mul(a, b)?)
}

fn div(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    if node.arg("rounding_mode").is_some() {
        return Err(cx.unsupported(node, "a rounding mode"));
    }
    let [a, b] = pair(cx, node)?;
    let [a, b] = match cx.g().ty(a).dtype {
        DType::Int32 => [cx.cast(a, DType::Fp16)?, cx.cast(b, DType::Fp16)?],
        _ => [a, b],
    };
    // A quotient by a number is a product, where that rounds the same.
    if let Some(number) = Cx::number(node, "other").ok().flatten() {
        let exact = number != 0.0 && number.abs().log2().fract() == 0.0;
        if exact {
            let factor = cx.scalar_like(a, 1.0 / number)?;
            return one(cx.g().mul(a, factor)?);
        }
    }
    one(cx.g().real_div(a, b)?)
}

fn neg(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let minus = cx.scalar_like(x, -1.0)?;
    one(cx.g().mul(x, minus)?)
}

fn pow(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    if !Cx::is_tensor(node, "exponent") {
        let x = cx.real_tensor(node, "self")?;
        let exponent = Cx::number(node, "exponent")?.unwrap_or(1.0);
        return one(power(cx, x, exponent)?);
    }
    let exponent = cx.real_tensor(node, "exponent")?;
    let base = operand(cx, node, "self", DType::Fp16)?;
    let [base, exponent] = of_one_type(cx, [base, exponent])?;
    one(cx.g().pow(base, exponent)?)
}

/// `x` to a power that is known: by products and roots where they do.
fn power(cx: &mut Cx<'_>, x: Value, exponent: f64) -> Result<Value, ImportError> {
    let g = cx.g();
    Ok(match exponent {
        1.0 => x,
        2.0 => g.mul(x, x)?,
        3.0 => {
            let square = g.mul(x, x)?;
            g.mul(square, x)?
        }
        0.5 => g.sqrt(x)?,
        -0.5 => g.rsqrt(x, 0.0)?,
        -1.0 => {
            let one = cx.scalar_like(x, 1.0)?;
            cx.g().real_div(one, x)?
        }
        other => {
            let exponent = cx.scalar_like(x, other)?;
            cx.g().pow(x, exponent)?
        }
    })
}

fn square(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    one(cx.g().mul(x, x)?)
}

fn reciprocal(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    one(power(cx, x, -1.0)?)
}

/// A function of one tensor of real numbers.
fn unary(
    cx: &mut Cx<'_>,
    node: &Node,
    f: impl FnOnce(&mut Graph, Value) -> Result<Value, TypeError>,
) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    one(f(cx.g(), x)?)
}

fn sqrt(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.sqrt(x))
}

fn rsqrt(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.rsqrt(x, 0.0))
}

fn exp(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.exp(x))
}

fn log(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.log(x, 0.0))
}

fn log1p(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let unit = cx.scalar_like(x, 1.0)?;
    let x = cx.g().add(x, unit)?;
    one(cx.g().log(x, 0.0)?)
}

fn expm1(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let y = cx.g().exp(x)?;
    let unit = cx.scalar_like(y, 1.0)?;
    one(cx.g().sub(y, unit)?)
}

fn abs(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.abs(x))
}

fn sign(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.sign(x))
}

fn erf(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    unary(cx, node, |g, x| g.erf(x))
}

fn maximum(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let [a, b] = pair(cx, node)?;
    one(cx.g().maximum(a, b)?)
}

fn minimum(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let [a, b] = pair(cx, node)?;
    one(cx.g().minimum(a, b)?)
}

/// `self` between two bounds, of which one may be left out.
fn bounded(cx: &mut Cx<'_>, node: &Node, low: &str, high: &str) -> Lowered {
    let mut x = cx.tensor(node, "self")?;
    for (name, is_low) in [(low, true), (high, false)] {
        if name.is_empty() || node.arg(name).is_none() {
            continue;
        }
        let dtype = cx.g().ty(x).dtype;
        let bound = operand(cx, node, name, dtype)?;
        let [y, bound] = of_one_type(cx, [x, bound])?;
        x = if is_low {
            cx.g().maximum(y, bound)?
        } else {
            cx.g().minimum(y, bound)?
        };
    }
    one(x)
}

fn clamp(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    // With two numbers it is one op, whose gradient at the bounds is PyTorch's.
    let numbers = [Cx::number(node, "min"), Cx::number(node, "max")];
    if let [Ok(Some(low)), Ok(Some(high))] = numbers {
        let x = cx.tensor(node, "self")?;
        if cx.g().ty(x).dtype == DType::Fp16 {
            return one(cx.g().clip(x, low, high)?);
        }
    }
    bounded(cx, node, "min", "max")
}

fn clamp_min(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    bounded(cx, node, "min", "")
}

fn clamp_max(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    bounded(cx, node, "", "max")
}

/// The argument `value`, by which the others are multiplied.
fn times_value(cx: &mut Cx<'_>, node: &Node, x: Value) -> Result<Value, ImportError> {
    match Cx::number(node, "value")? {
        None | Some(1.0) => Ok(x),
        Some(value) => {
            let value = cx.scalar_like(x, value)?;
            Ok(cx.g().mul(x, value)?)
        }
    }
}

fn addcmul(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let (a, b) = (
        cx.real_tensor(node, "tensor1")?,
        cx.real_tensor(node, "tensor2")?,
    );
    let product = cx.g().mul(a, b)?;
    let product = times_value(cx, node, product)?;
    one(cx.g().add(x, product)?)
}

fn addcdiv(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    let (a, b) = (
        cx.real_tensor(node, "tensor1")?,
        cx.real_tensor(node, "tensor2")?,
    );
    let quotient = cx.g().real_div(a, b)?;
    let quotient = times_value(cx, node, quotient)?;
    one(cx.g().add(x, quotient)?)
}

fn lerp(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let a = cx.real_tensor(node, "self")?;
    let b = cx.real_tensor(node, "end")?;
    let weight = operand(cx, node, "weight", DType::Fp16)?;
    let distance = cx.g().sub(b, a)?;
    let [distance, weight] = of_one_type(cx, [distance, weight])?;
    let step = cx.g().mul(distance, weight)?;
    let [a, step] = of_one_type(cx, [a, step])?;
    one(cx.g().add(a, step)?)
}
