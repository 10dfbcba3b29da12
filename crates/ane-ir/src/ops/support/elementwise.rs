//! Loops, type rules and cotangents of elementwise ops.

use crate::{
    graph::{Graph, Value},
    ops::{ResultTypes, TypeError, support},
    tensor::{Real, Tensor},
    types::{DType, Shape, TensorType},
};

/// Type rule of a float function of one argument.
pub(crate) fn unary_type(op: &'static str, xs: &[&TensorType]) -> Result<ResultTypes, TypeError> {
    support::float(op, "x", xs[0])?;
    support::one(xs[0].clone())
}

/// Type rule of an arithmetic function of two arguments.
pub(crate) fn binary_type(op: &'static str, xs: &[&TensorType]) -> Result<ResultTypes, TypeError> {
    support::number(op, "x", xs[0])?;
    let shape = support::broadcast(op, xs[0], xs[1])?;
    support::one(TensorType {
        dtype: xs[0].dtype,
        shape,
    })
}

/// Type rule of a comparison.
pub(crate) fn comparison_type(
    op: &'static str,
    xs: &[&TensorType],
) -> Result<ResultTypes, TypeError> {
    support::number(op, "x", xs[0])?;
    let shape = support::broadcast(op, xs[0], xs[1])?;
    support::one(TensorType {
        dtype: DType::Bool,
        shape,
    })
}

/// `f` of every element.
pub(crate) fn map<T: Real>(x: &Tensor<T>, f: impl Fn(T) -> T) -> Vec<Tensor<T>> {
    vec![Tensor {
        ty: x.ty.clone(),
        data: x.data.iter().map(|&e| f(e)).collect(),
    }]
}

/// `f` of every pair of elements, broadcasting; `dtype` of the result.
pub(crate) fn zip<T: Real>(
    x: &Tensor<T>,
    y: &Tensor<T>,
    dtype: DType,
    f: impl Fn(T, T) -> T,
) -> Vec<Tensor<T>> {
    let shape =
        x.ty.shape
            .broadcast(&y.ty.shape)
            .expect("infer checked that the shapes broadcast");
    let mut data = Vec::with_capacity(shape.numel());
    walk(&shape, [&x.ty.shape, &y.ty.shape], |[i, j]| {
        data.push(f(x.data[i], y.data[j]));
    });
    vec![Tensor {
        ty: TensorType { dtype, shape },
        data,
    }]
}

/// `float` of every pair of floats, or `int` of every pair of int32, broadcasting.
pub(crate) fn arithmetic<T: Real>(
    xs: &[&Tensor<T>],
    float: impl Fn(T, T) -> T,
    int: impl Fn(i32, i32) -> i32,
) -> Vec<Tensor<T>> {
    let dtype = xs[0].ty.dtype;
    if dtype.is_float() {
        zip(xs[0], xs[1], dtype, float)
    } else {
        zip(xs[0], xs[1], dtype, |a, b| {
            T::from_int(int(a.to_int(), b.to_int()))
        })
    }
}

/// 1 where the comparison holds, 0 elsewhere.
pub(crate) fn compare<T: Real>(
    xs: &[&Tensor<T>],
    holds: impl Fn(f64, f64) -> bool,
) -> Vec<Tensor<T>> {
    zip(xs[0], xs[1], DType::Bool, |a, b| {
        T::from_f64(f64::from(u8::from(holds(a.to_f64(), b.to_f64()))))
    })
}

/// Calls `visit` with the offsets of the operands for every element of `out`, in row-major order.
pub(crate) fn walk<const N: usize>(
    out: &Shape,
    operands: [&Shape; N],
    mut visit: impl FnMut([usize; N]),
) {
    let strides = operands.map(|s| s.broadcast_strides(out));
    let mut index = vec![0; out.rank()];
    for _ in 0..out.numel() {
        visit(std::array::from_fn(|k| {
            index.iter().zip(&strides[k]).map(|(i, s)| i * s).sum()
        }));
        for axis in (0..out.rank()).rev() {
            index[axis] += 1;
            if index[axis] < out.dims()[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// The cotangent of an operand that was broadcast: `ct` summed over the axes along which it was repeated.
pub(crate) fn unbroadcast(g: &mut Graph, ct: Value, to: &Shape) -> Result<Value, TypeError> {
    let from = g.ty(ct).shape.clone();
    if &from == to {
        return Ok(ct);
    }
    let pad = from.rank() - to.rank();
    let repeated: Vec<i32> = (0..from.rank())
        .filter(|&i| i < pad || (to.dims()[i - pad] == 1 && from.dims()[i] != 1))
        .map(|i| i32::try_from(i).expect("a rank fits an i32"))
        .collect();
    let sum = if repeated.is_empty() {
        ct
    } else {
        g.reduce_sum(ct, &repeated, true)?
    };
    if &g.ty(sum).shape == to {
        return Ok(sum);
    }
    let leading: Vec<i32> = (0..pad)
        .map(|i| i32::try_from(i).expect("a rank fits an i32"))
        .collect();
    g.squeeze(sum, &leading)
}
