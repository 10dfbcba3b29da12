//! Rules and loops that several ops share; no op lives here.

pub(crate) mod elementwise;
pub mod normalize;
pub mod pool;
pub(crate) mod reduce;
pub mod window;

use super::{Fill, ResultTypes, TypeError};
use crate::{
    graph::{Graph, Value},
    tensor::Real,
    types::{DType, Shape, TensorType},
};
use smallvec::smallvec;

/// One result.
pub(crate) fn one(ty: TensorType) -> Result<ResultTypes, TypeError> {
    Ok(smallvec![ty])
}

/// The operand must be floating point.
pub(crate) fn float(
    op: &'static str,
    operand: &'static str,
    ty: &TensorType,
) -> Result<(), TypeError> {
    if ty.dtype.is_float() {
        Ok(())
    } else {
        Err(operand_type(op, operand, "fp16 or fp32", ty))
    }
}

/// The operand must be a number: fp16, fp32 or int32.
pub(crate) fn number(
    op: &'static str,
    operand: &'static str,
    ty: &TensorType,
) -> Result<(), TypeError> {
    if ty.dtype.is_float() || ty.dtype == DType::Int32 {
        Ok(())
    } else {
        Err(operand_type(op, operand, "fp16, fp32 or int32", ty))
    }
}

/// The operand must be a truth value.
pub(crate) fn truth(
    op: &'static str,
    operand: &'static str,
    ty: &TensorType,
) -> Result<(), TypeError> {
    if ty.dtype == DType::Bool {
        Ok(())
    } else {
        Err(operand_type(op, operand, "bool", ty))
    }
}

/// The error for an operand of the wrong dtype.
pub(crate) fn operand_type(
    op: &'static str,
    operand: &'static str,
    expected: &str,
    found: &TensorType,
) -> TypeError {
    TypeError::OperandType {
        op,
        operand,
        expected: expected.to_owned(),
        found: found.clone(),
    }
}

/// The error for an attribute that does not suit the operands.
pub(crate) fn attribute(
    op: &'static str,
    attribute: &'static str,
    expected: impl ToString,
    found: impl ToString,
) -> TypeError {
    TypeError::Attribute {
        op,
        attribute,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// Both operands of one dtype, shapes broadcast; the shape of the result.
pub(crate) fn broadcast(
    op: &'static str,
    x: &TensorType,
    y: &TensorType,
) -> Result<Shape, TypeError> {
    let mismatch = |rule| TypeError::Mismatch {
        op,
        x: x.clone(),
        y: y.clone(),
        rule,
    };
    if x.dtype != y.dtype {
        return Err(mismatch("dtypes must be equal"));
    }
    x.shape
        .broadcast(&y.shape)
        .ok_or_else(|| mismatch("shapes must broadcast"))
}

/// A sample operand of fp32, wide enough for f64 derivatives and rounded to nothing in them.
pub(crate) fn f(shape: &[usize], fill: Fill) -> (TensorType, Fill) {
    (TensorType::fp32(shape), fill)
}

/// A sample operand of fp16.
pub(crate) fn h(shape: &[usize], fill: Fill) -> (TensorType, Fill) {
    (TensorType::fp16(shape), fill)
}

/// `x` under another shape, unless it is its own.
pub(crate) fn view(g: &mut Graph, x: Value, shape: &Shape) -> Result<Value, TypeError> {
    if &g.ty(x).shape == shape {
        return Ok(x);
    }
    g.reshape(x, shape)
}

/// The operand must be an integer that can be an index.
pub(crate) fn index(
    op: &'static str,
    operand: &'static str,
    ty: &TensorType,
) -> Result<(), TypeError> {
    if ty.dtype.is_float() || ty.dtype == DType::Bool {
        Err(operand_type(op, operand, "of integers", ty))
    } else {
        Ok(())
    }
}

/// The place on an axis of `length` elements that is nearest to `index`.
pub(crate) fn clamped<T: Real>(index: T, length: usize) -> usize {
    let index = usize::try_from(index.to_int()).unwrap_or(0);
    index.min(length.saturating_sub(1))
}
