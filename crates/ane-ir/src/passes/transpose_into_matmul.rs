//! Transposes of the last two axes become flags of the matmul that reads them.
//!
//! Before: `t = transpose(x, [1, 0]); z = matmul(t, y)`. After: `z = matmul(x, y, transpose_x = true)`.

use super::{PassError, Rewriter, rewrite};
use crate::{
    graph::{Graph, Value},
    ops::Op,
    target::Target,
};
use smallvec::smallvec;

pub(super) fn run(graph: &Graph, _: &Target) -> Result<Graph, PassError> {
    rewrite("transpose_into_matmul", graph, |r, node, xs| {
        let Op::Matmul(op) = &node.op else {
            return Ok(None);
        };
        let (x, fx) = source(r, xs[0]);
        let (y, fy) = source(r, xs[1]);
        if !fx && !fy {
            return Ok(None);
        }
        r.out
            .matmul(x, y, op.transpose_x ^ fx, op.transpose_y ^ fy)
            .map(|z| Some(smallvec![z]))
            .map_err(|source| PassError::Type {
                pass: "transpose_into_matmul",
                source,
            })
    })
}

/// What `v` transposes, and whether it does.
fn source(r: &Rewriter<'_>, v: Value) -> (Value, bool) {
    if let Some(node) = r.out.node_of(v)
        && let Op::Transpose(op) = &node.op
        && let Ok(perm) = op.axes_of(&r.out.ty(node.operands[0]).shape)
        && let [head @ .., a, b] = &perm[..]
        && head.iter().enumerate().all(|(i, &p)| i == p)
        && *a == b + 1
    {
        return (node.operands[0], true);
    }
    (v, false)
}
