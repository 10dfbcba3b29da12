//! Dropout: multiplication by masks that the host draws.

use super::{Cx, Lowered, Lowering, argument, one};
use crate::aten::Node;
use ane_ir::DType;

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "native_dropout" => native_dropout,
        "dropout" => dropout,
        "native_dropout_backward" => native_dropout_backward,
        _ => return None,
    })
}

/// x·mask/(1 − p) and the mask, as truth values.
fn native_dropout(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "input")?;
    let p = Cx::number(node, "p")?.ok_or_else(|| argument(node, "p", "a probability"))?;
    if Cx::bool(node, "train")? == Some(false) {
        return Ok(vec![Some(x), None]);
    }
    if !(0.0..1.0).contains(&p) {
        return Err(cx.unsupported(node, &format!("a probability of {p}")));
    }
    if node.op() == "dropout" && (p == 0.0 || !cx.drops()) {
        return one(x);
    }
    let [y, mask] = cx.dropped(node, x, 1.0 - p)?;
    let kept = cx.cast(mask, DType::Bool)?;
    Ok(vec![Some(y), Some(kept)])
}

fn dropout(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    Ok(vec![native_dropout(cx, node)?[0]])
}

/// ct·mask·scale.
fn native_dropout_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_output")?;
    let mask = cx.real_tensor(node, "mask")?;
    let scale = Cx::number(node, "scale")?.unwrap_or(1.0);
    let scale = cx.scalar_like(ct, scale)?;
    let ct = cx.g().mul(ct, mask)?;
    one(cx.g().mul(ct, scale)?)
}
