//! Comparisons, truth values, and choices by them.

use super::{Cx, Lowered, Lowering, argument, arithmetic::of_one_type, int, one};
use crate::{aten::Node, error::ImportError};
use ane_ir::{DType, Graph, TypeError, Value};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "eq" => eq,
        "ne" => ne,
        "gt" => gt,
        "ge" => ge,
        "lt" => lt,
        "le" => le,
        "isnan" => isnan,
        "logical_not" | "bitwise_not" => not,
        "logical_and" | "bitwise_and" => and,
        "logical_or" | "bitwise_or" => or,
        "logical_xor" | "bitwise_xor" => xor,
        "any" => any,
        "where" => select,
        "masked_fill" => masked_fill,
        _ => return None,
    })
}

fn compared(
    cx: &mut Cx<'_>,
    node: &Node,
    f: impl FnOnce(&mut Graph, Value, Value) -> Result<Value, TypeError>,
) -> Result<Value, ImportError> {
    let a = cx.tensor(node, "self")?;
    let b = if Cx::is_tensor(node, "other") {
        cx.tensor(node, "other")?
    } else {
        let number = Cx::number(node, "other")?;
        let number = number.ok_or_else(|| argument(node, "other", "a tensor or number"))?;
        let dtype = cx.g().ty(a).dtype;
        let dtype = match dtype {
            DType::Int32 | DType::Bool if number.fract() != 0.0 => DType::Fp16,
            DType::Bool => DType::Int32,
            other => other,
        };
        cx.number_of(dtype, number)?
    };
    let [a, b] = of_one_type(cx, [a, b])?;
    Ok(f(cx.g(), a, b)?)
}

fn eq(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    one(compared(cx, node, |g, a, b| g.equal(a, b))?)
}

fn ne(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    one(compared(cx, node, |g, a, b| g.not_equal(a, b))?)
}

/// Only what is no number differs from itself.
fn isnan(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "self")?;
    one(cx.g().not_equal(x, x)?)
}

fn gt(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    one(compared(cx, node, |g, a, b| g.greater(a, b))?)
}

fn ge(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    one(compared(cx, node, |g, a, b| g.greater_equal(a, b))?)
}

fn lt(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    one(compared(cx, node, |g, a, b| g.less(a, b))?)
}

fn le(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    one(compared(cx, node, |g, a, b| g.less_equal(a, b))?)
}

fn truth(cx: &mut Cx<'_>, node: &Node, name: &str) -> Result<Value, ImportError> {
    let x = cx.tensor(node, name)?;
    if node.op().starts_with("bitwise") && cx.g().ty(x).dtype != DType::Bool {
        return Err(cx.unsupported(node, "integers"));
    }
    cx.cast(x, DType::Bool)
}

fn not(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = truth(cx, node, "self")?;
    one(cx.g().logical_not(x)?)
}

/// `a` where `cond`, else the value.
fn chosen(cx: &mut Cx<'_>, cond: Value, a: Value, b: Value) -> Result<Value, ImportError> {
    let [a, b] = of_one_type(cx, [a, b])?;
    Ok(cx.g().select(cond, a, b)?)
}

fn and(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (a, b) = (truth(cx, node, "self")?, truth(cx, node, "other")?);
    one(cx.g().logical_and(a, b)?)
}

fn or(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (a, b) = (truth(cx, node, "self")?, truth(cx, node, "other")?);
    one(cx.g().logical_or(a, b)?)
}

fn xor(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (a, b) = (truth(cx, node, "self")?, truth(cx, node, "other")?);
    one(cx.g().logical_xor(a, b)?)
}

fn any(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = cx.dims(node, "self")?;
    let x = truth(cx, node, "self")?;
    let x = cx.cast(x, DType::Fp16)?;
    let axes: Vec<i32> = match Cx::ints(node, "dim")? {
        Some(axes) => axes
            .iter()
            .map(|&a| Cx::axis(node, "dim", a, dims.len()).map(int))
            .collect::<Result<_, _>>()?,
        None => (0..dims.len().max(1)).map(int).collect(),
    };
    let largest = cx.g().reduce_max(x, &axes, true)?;
    let shape = node.outputs[0]
        .as_ref()
        .map_or(Vec::new(), |t| t.shape.clone());
    let largest = cx.reshape(largest, &shape)?;
    one(cx.cast(largest, DType::Bool)?)
}

fn select(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let cond = cx.tensor(node, "condition")?;
    let cond = cx.cast(cond, DType::Bool)?;
    let mut of = |name: &str| -> Result<Value, ImportError> {
        if Cx::is_tensor(node, name) {
            return cx.tensor(node, name);
        }
        let number = Cx::number(node, name)?;
        let number = number.ok_or_else(|| argument(node, name, "a tensor or number"))?;
        cx.number_of(DType::Fp16, number)
    };
    let (a, b) = (of("self")?, of("other")?);
    let dtype = cx.g().ty(a).dtype;
    if dtype == DType::Bool && cx.g().ty(b).dtype == DType::Bool {
        // Choices of truth values are made among numbers, which every engine chooses among.
        let (a, b) = (cx.cast(a, DType::Fp16)?, cx.cast(b, DType::Fp16)?);
        let y = cx.g().select(cond, a, b)?;
        return one(cx.cast(y, DType::Bool)?);
    }
    one(chosen(cx, cond, a, b)?)
}

fn masked_fill(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.tensor(node, "self")?;
    let mask = cx.tensor(node, "mask")?;
    let mask = cx.cast(mask, DType::Bool)?;
    let value = if Cx::is_tensor(node, "value") {
        cx.tensor(node, "value")?
    } else {
        let number = Cx::number(node, "value")?.unwrap_or(0.0);
        let dtype = cx.g().ty(x).dtype;
        cx.number_of(dtype, number)?
    };
    one(chosen(cx, mask, value, x)?)
}
