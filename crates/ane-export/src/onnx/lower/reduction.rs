//! Reductions and running sums.

use super::{Call, Done, Setting};
use crate::onnx::builder::code;
use ane_ir::ops::{cumsum::Cumsum, reduce_argmax::ReduceArgmax};

fn axes(c: &Call<'_>, axes: &[i32]) -> Vec<i64> {
    axes.iter().map(|&a| c.axis(a)).collect()
}

fn keep(keep_dims: bool) -> (&'static str, Setting) {
    ("keepdims", Setting::Int(i64::from(keep_dims)))
}

/// A reduction whose axes are a setting; from opset 18 on they are an operand.
pub(super) fn by_setting(c: &mut Call<'_>, op: &str, over: &[i32], keep_dims: bool) -> Done {
    if over.is_empty() {
        // ONNX means all axes by none.
        return none(c, op);
    }
    let over = axes(c, over);
    c.last(
        op,
        c.operands,
        vec![("axes", Setting::Ints(over)), keep(keep_dims)],
    )
}

/// A sum, whose axes are an operand since opset 13.
pub(super) fn sum(c: &mut Call<'_>, over: &[i32], keep_dims: bool) -> Done {
    if over.is_empty() {
        return none(c, "ReduceSum");
    }
    let over = axes(c, over);
    let over = c.to.ints(&over);
    c.last("ReduceSum", &[c.x(0), &over], vec![keep(keep_dims)])
}

/// A reduction over no axes.
fn none(c: &mut Call<'_>, op: &str) -> Done {
    match op {
        "ReduceL2" => c.same("Abs"),
        "ReduceSumSquare" => c.last("Mul", &[c.x(0), c.x(0)], Vec::new()),
        _ => c.same("Identity"),
    }
}

/// The first index of the largest element; int64 in ONNX.
pub(super) fn argmax(c: &mut Call<'_>, op: &ReduceArgmax) -> Done {
    let settings = vec![("axis", Setting::Int(c.axis(op.axis))), keep(op.keep_dims)];
    let found = c.node("ArgMax", c.operands, settings);
    let to = i64::from(code(op.output_dtype));
    c.last("Cast", &[&found], vec![("to", Setting::Int(to))])
}

pub(super) fn cumsum(c: &mut Call<'_>, op: &Cumsum) -> Done {
    let axis = c.to.int(c.axis(op.axis));
    let flag = |name, on: bool| (name, Setting::Int(i64::from(on)));
    let settings = vec![flag("exclusive", op.exclusive), flag("reverse", op.reverse)];
    c.last("CumSum", &[c.x(0), &axis], settings)
}
