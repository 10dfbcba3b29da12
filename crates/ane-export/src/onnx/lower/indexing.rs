//! What reads and writes by index.

use super::{Call, Done, Setting, axis_setting, from_front};
use crate::onnx::builder::{INT64, code, tensor};
use ane_ir::{
    DType, Literal, TensorType,
    ops::{
        gather::Gather,
        gather_along_axis::GatherAlongAxis,
        one_hot::OneHot,
        scatter::{Mode, Scatter},
    },
};

/// An operand as int64 or int32, the indices that ONNX takes.
fn indices(c: &mut Call<'_>, i: usize) -> String {
    if c.ty(i).dtype == DType::Int32 {
        return c.x(i).to_owned();
    }
    let to = i64::from(INT64);
    c.node("Cast", &[c.x(i)], vec![("to", Setting::Int(to))])
}

/// Slices by index.
pub(super) fn gather(c: &mut Call<'_>, op: &Gather) -> Done {
    if op.batch_dims != 0 {
        return Err("slices that are picked for each example by itself");
    }
    let picked = indices(c, 1);
    c.last("Gather", &[c.x(0), &picked], axis_setting(c.axis(op.axis)))
}

/// Elements by index.
pub(super) fn gather_along_axis(c: &mut Call<'_>, op: &GatherAlongAxis) -> Done {
    let picked = indices(c, 1);
    let axis = axis_setting(c.axis(op.axis));
    c.last("GatherElements", &[c.x(0), &picked], axis)
}

/// 1 at the index, 0 elsewhere, in fp32 first: no runtime has it for every type. An index below 0 counts from the end in ONNX, and is nowhere here: it becomes one that is
/// out of range.
pub(super) fn one_hot(c: &mut Call<'_>, op: &OneHot) -> Done {
    let number = |x: f64| Literal::splat(TensorType::new(DType::Int32, []), x);
    let on = op.on_value.clone().unwrap_or_else(|| number(1.0));
    let off = op.off_value.clone().unwrap_or_else(|| number(0.0));
    let values = [off.to_f64(), on.to_f64()].concat();
    let values = Literal::from_f64(TensorType::new(DType::Fp32, [2]), &values);
    let values = c.to.constant(tensor(String::new(), &values));
    let picked = indices(c, 0);
    let picked = c.node(
        "Cast",
        &[&picked],
        vec![("to", Setting::Int(i64::from(INT64)))],
    );
    let depth = i64::from(op.one_hot_vector_size);
    let (zero, beyond) = (c.to.int(0), c.to.int(depth));
    let below = c.node("Less", &[&picked, &zero], Vec::new());
    let picked = c.node("Where", &[&below, &beyond, &picked], Vec::new());
    let axis = axis_setting(from_front(op.axis, c.rank(0) + 1));
    let dtype = on.ty().dtype;
    if dtype == DType::Fp32 {
        return c.last("OneHot", &[&picked, &beyond, &values], axis);
    }
    let marked = c.node("OneHot", &[&picked, &beyond, &values], axis);
    let to = i64::from(code(dtype));
    c.last("Cast", &[&marked], vec![("to", Setting::Int(to))])
}

/// Slices of the updates written, or added, by index: the first axis, to which ONNX's `ScatterND` is held.
pub(super) fn scatter(c: &mut Call<'_>, op: &Scatter) -> Done {
    if c.axis(op.axis) != 0 {
        return Err("slices that are written along another axis than the first");
    }
    let reduction = match op.mode {
        Mode::Add => "add",
        Mode::Update => "none",
        Mode::Sub | Mode::Mul | Mode::Div | Mode::Max | Mode::Min => {
            return Err("slices that are combined otherwise than by a sum");
        }
    };
    let picked = c.node(
        "Cast",
        &[c.x(1)],
        vec![("to", Setting::Int(i64::from(INT64)))],
    );
    let last = c.to.ints(&[-1]);
    let picked = c.node("Unsqueeze", &[&picked, &last], Vec::new());
    let settings = vec![("reduction", Setting::Text(reduction))];
    c.last("ScatterND", &[c.x(0), &picked, c.x(2)], settings)
}
