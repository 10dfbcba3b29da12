//! Tensors made of nothing: constants.

use super::{Cx, Lowered, Lowering, argument, dtype_of, one, shape::declared, shape_of};
use crate::aten::Node;
use ane_ir::{DType, Literal, TensorType};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "full" | "full_like" | "new_full" => full,
        "zeros" | "zeros_like" | "new_zeros" | "empty" | "empty_like" | "new_empty" => zeros,
        "ones" | "ones_like" | "new_ones" => ones,
        "scalar_tensor" => scalar_tensor,
        "arange" => arange,
        "tril" | "triu" => triangle,
        _ => return None,
    })
}

/// A constant of the type that PyTorch says the result has.
fn constant(cx: &mut Cx<'_>, node: &Node, elements: impl FnOnce(usize) -> Vec<f64>) -> Lowered {
    let shape = declared(node)?;
    let dtype = node.outputs.iter().flatten().next().map(|t| t.dtype);
    let dtype = dtype.and_then(dtype_of);
    let dtype = dtype.ok_or_else(|| cx.unsupported(node, "this element type"))?;
    let ty = TensorType {
        dtype,
        shape: shape_of(&shape),
    };
    let elements = elements(ty.shape.numel());
    let first = elements.first().copied().unwrap_or(0.0);
    // Equal elements are a scalar repeated, which takes no room in a program.
    if elements.iter().all(|&e| e == first) && ty.dtype != DType::Bool {
        return one(cx.g().fill(&ty, super::within(ty.dtype, first))?);
    }
    let elements: Vec<f64> = elements
        .into_iter()
        .map(|e| super::within(dtype, e))
        .collect();
    one(cx.g().constant(Literal::from_f64(ty, &elements))?)
}

fn full(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let value = Cx::number(node, "fill_value")?;
    let value = value.ok_or_else(|| argument(node, "fill_value", "a number"))?;
    constant(cx, node, |n| vec![value; n])
}

fn zeros(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    constant(cx, node, |n| vec![0.0; n])
}

fn ones(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    constant(cx, node, |n| vec![1.0; n])
}

fn scalar_tensor(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let value = Cx::number(node, "s")?.ok_or_else(|| argument(node, "s", "a number"))?;
    constant(cx, node, |n| vec![value; n])
}

fn arange(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let start = Cx::number(node, "start")?.unwrap_or(0.0);
    let step = Cx::number(node, "step")?.unwrap_or(1.0);
    constant(cx, node, |n| {
        (0..n).map(|i| start + step * i as f64).collect()
    })
}

/// The part of matrices on and below a diagonal, or on and above it.
fn triangle(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = cx.dims(node, "self")?;
    let [.., rows, columns] = dims[..] else {
        return Err(argument(node, "self", "a matrix"));
    };
    let diagonal = Cx::int(node, "diagonal")?.unwrap_or(0);
    let lower = node.op() == "tril";
    let kept = |row: usize, column: usize| {
        let distance = column as i64 - row as i64;
        if lower {
            distance <= diagonal
        } else {
            distance >= diagonal
        }
    };
    let mask: Vec<f64> = (0..rows * columns)
        .map(|i| f64::from(u8::from(kept(i / columns, i % columns))))
        .collect();
    let x = cx.tensor(node, "self")?;
    let dtype = cx.g().ty(x).dtype;
    // Choices are made among numbers, which every engine chooses among.
    let x = match dtype {
        DType::Bool => cx.cast(x, DType::Fp16)?,
        _ => x,
    };
    let ty = TensorType {
        dtype: DType::Bool,
        shape: shape_of(&[rows, columns]),
    };
    let mask = cx.g().constant(Literal::from_f64(ty, &mask))?;
    // A choice and no product: what is left out may be infinite, as in masks of attention.
    let zero = cx.scalar_like(x, 0.0)?;
    one(cx.g().select(mask, x, zero)?)
}
