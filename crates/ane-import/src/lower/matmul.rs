//! Matrix products.

use super::{Cx, Lowered, Lowering, one};
use crate::{aten::Node, error::ImportError};
use ane_ir::Value;

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "mm" | "bmm" => mm,
        "matmul" => matmul,
        "addmm" | "baddbmm" => addmm,
        "linear" => linear,
        "mv" | "dot" => vector,
        _ => return None,
    })
}

fn mm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let (a, b) = (cx.real_tensor(node, "self")?, cx.real_tensor(node, "mat2")?);
    one(cx.g().matmul(a, b, false, false)?)
}

fn matmul(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ranks = [cx.dims(node, "self")?.len(), cx.dims(node, "other")?.len()];
    if ranks.contains(&1) || ranks.contains(&0) {
        return Err(cx.unsupported(node, "vectors"));
    }
    let (a, b) = (
        cx.real_tensor(node, "self")?,
        cx.real_tensor(node, "other")?,
    );
    one(cx.g().matmul(a, b, false, false)?)
}

fn times(cx: &mut Cx<'_>, node: &Node, name: &str, x: Value) -> Result<Value, ImportError> {
    match Cx::number(node, name)? {
        None | Some(1.0) => Ok(x),
        Some(factor) => {
            let factor = cx.scalar_like(x, factor)?;
            Ok(cx.g().mul(x, factor)?)
        }
    }
}

/// beta·self + alpha·(a × b).
fn addmm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let names = if node.op() == "addmm" {
        ["mat1", "mat2"]
    } else {
        ["batch1", "batch2"]
    };
    let bias = cx.real_tensor(node, "self")?;
    let (a, b) = (
        cx.real_tensor(node, names[0])?,
        cx.real_tensor(node, names[1])?,
    );
    let product = cx.g().matmul(a, b, false, false)?;
    let product = times(cx, node, "alpha", product)?;
    let bias = times(cx, node, "beta", bias)?;
    one(cx.g().add(product, bias)?)
}

/// input × weightᵀ + bias, where the input may be a vector.
fn linear(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = cx.dims(node, "input")?;
    let mut x = cx.real_tensor(node, "input")?;
    let weight = cx.real_tensor(node, "weight")?;
    if dims.len() == 1 {
        x = cx.reshape(x, &[1, dims[0]])?;
    }
    let mut y = cx.g().matmul(x, weight, false, true)?;
    if node.arg("bias").is_some() {
        let bias = cx.real_tensor(node, "bias")?;
        y = cx.g().add(y, bias)?;
    }
    if dims.len() == 1 {
        let width = cx.shape(y).last();
        y = cx.reshape(y, &[width])?;
    }
    one(y)
}

fn vector(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let other = if node.op() == "mv" { "vec" } else { "tensor" };
    let (a, b) = (cx.real_tensor(node, "self")?, cx.real_tensor(node, other)?);
    let dims = cx.dims(node, "self")?;
    let length = dims.last().copied().unwrap_or(1);
    let rows = if dims.len() == 2 { dims[0] } else { 1 };
    let a = cx.reshape(a, &[rows, length])?;
    let b = cx.reshape(b, &[length, 1])?;
    let y = cx.g().matmul(a, b, false, false)?;
    one(cx.reshape(y, &[rows])?)
}
