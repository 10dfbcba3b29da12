//! Attention, written out.

use super::{Cx, Lowered, Lowering, one, shape_of};
use crate::aten::Node;
use ane_ir::{DType, Literal, TensorType};

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    (op == "scaled_dot_product_attention").then_some(attention)
}

/// softmax(query·keyᵀ·scale + mask)·value, over the last two axes [T, D].
fn attention(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let dims = cx.dims(node, "query")?;
    let of_key = cx.dims(node, "key")?;
    let q = cx.real_tensor(node, "query")?;
    let mut k = cx.real_tensor(node, "key")?;
    let mut v = cx.real_tensor(node, "value")?;
    let rank = dims.len();
    if rank < 3 {
        return Err(cx.unsupported(node, "fewer than three axes"));
    }
    if Cx::bool(node, "enable_gqa")? == Some(true) && of_key[rank - 3] != dims[rank - 3] {
        // Several heads of queries share one of keys and values.
        let repeats = dims[rank - 3] / of_key[rank - 3].max(1);
        for x in [&mut k, &mut v] {
            let from = cx.shape(*x).dims().to_vec();
            let mut between = from.clone();
            between.insert(rank - 2, 1);
            let mut reps = vec![1; between.len()];
            reps[rank - 2] = super::int(repeats);
            let y = cx.reshape(*x, &between)?;
            let y = cx.g().tile(y, &reps)?;
            let mut to = from;
            to[rank - 3] *= repeats;
            *x = cx.reshape(y, &to)?;
        }
    }
    let width = dims[rank - 1] as f64;
    let scale = Cx::number(node, "scale")?.unwrap_or(1.0 / width.sqrt());
    let scale = cx.real(scale)?;
    let q = cx.g().mul(q, scale)?;
    let mut scores = cx.g().matmul(q, k, false, true)?;
    if node.arg("attn_mask").is_some() {
        let mask = cx.tensor(node, "attn_mask")?;
        let mask = if cx.g().ty(mask).dtype == DType::Bool {
            let (seen, hidden) = (cx.real(0.0)?, cx.real(f64::NEG_INFINITY)?);
            cx.g().select(mask, seen, hidden)?
        } else {
            mask
        };
        scores = cx.g().add(scores, mask)?;
    }
    if Cx::bool(node, "is_causal")? == Some(true) {
        let [rows, columns] = [dims[rank - 2], of_key[rank - 2]];
        let ty = TensorType {
            dtype: cx.in_frame(DType::Fp16),
            shape: shape_of(&[rows, columns]),
        };
        let mask: Vec<f64> = (0..rows * columns)
            .map(|i| {
                if i % columns > i / columns {
                    f64::NEG_INFINITY
                } else {
                    0.0
                }
            })
            .collect();
        let mask = cx.g().constant(Literal::from_f64(ty, &mask))?;
        scores = cx.g().add(scores, mask)?;
    }
    let mut shares = cx.g().softmax(scores, super::int(rank - 1))?;
    let p = Cx::number(node, "dropout_p")?.unwrap_or(0.0);
    if p > 0.0 && cx.drops() {
        [shares, _] = cx.dropped(node, shares, 1.0 - p)?;
    }
    one(cx.g().matmul(shares, v, false, false)?)
}
