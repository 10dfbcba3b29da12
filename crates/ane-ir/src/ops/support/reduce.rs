//! Type rule and loops of reductions.

use crate::{
    graph::{Graph, Value},
    numerics::{Accumulate, Numerics},
    ops::{ResultTypes, TypeError, support},
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

/// The reduced axes, sorted; each in range and named once.
pub(crate) fn axes(op: &'static str, axes: &[i32], x: &Shape) -> Result<Vec<usize>, TypeError> {
    let bad = || {
        support::attribute(
            op,
            "axes",
            format!("distinct axes of {x}"),
            format!("{axes:?}"),
        )
    };
    let mut found: Vec<usize> = axes
        .iter()
        .map(|&a| x.axis(a).ok_or_else(bad))
        .collect::<Result<_, _>>()?;
    found.sort_unstable();
    if found.is_empty() || found.windows(2).any(|w| w[0] == w[1]) {
        return Err(bad());
    }
    Ok(found)
}

/// Type rule of a reduction.
pub(crate) fn ty(
    op: &'static str,
    x: &TensorType,
    axes_attr: &[i32],
    keep_dims: bool,
) -> Result<ResultTypes, TypeError> {
    support::float(op, "x", x)?;
    let axes = axes(op, axes_attr, &x.shape)?;
    support::one(TensorType {
        dtype: x.dtype,
        shape: shape(&x.shape, &axes, keep_dims),
    })
}

fn shape(x: &Shape, axes: &[usize], keep_dims: bool) -> Shape {
    x.dims()
        .iter()
        .enumerate()
        .filter(|(i, _)| keep_dims || !axes.contains(i))
        .map(|(i, &d)| if axes.contains(&i) { 1 } else { d })
        .collect()
}

/// Every group of elements that is reduced to one, in order; `f` makes the one.
pub(crate) fn groups<T: Real>(
    x: &Tensor<T>,
    axes_attr: &[i32],
    keep_dims: bool,
    mut f: impl FnMut(&[T]) -> T,
) -> Vec<Tensor<T>> {
    let axes = axes("reduce", axes_attr, &x.ty.shape).expect("infer checked the axes");
    let strides = x.ty.shape.strides();
    let dims = x.ty.shape.dims();
    let kept: Vec<usize> = (0..dims.len()).filter(|i| !axes.contains(i)).collect();
    let offsets = |over: &[usize]| {
        let mut all = vec![0];
        for &a in over {
            all = all
                .iter()
                .flat_map(|&o| (0..dims[a]).map(move |i| (o, i)))
                .map(|(o, i)| o + i * strides[a])
                .collect();
        }
        all
    };
    let within = offsets(&axes);
    let data = offsets(&kept)
        .into_iter()
        .map(|base| {
            let group: Vec<T> = within.iter().map(|&o| x.data[base + o]).collect();
            f(&group)
        })
        .collect();
    vec![Tensor {
        ty: TensorType {
            dtype: x.ty.dtype,
            shape: shape(&x.ty.shape, &axes, keep_dims),
        },
        data,
    }]
}

/// Sum of `terms`, kept as `numerics` says for a node of the tensor's dtype.
pub(crate) fn sum<T: Real>(ty: &TensorType, terms: &[T], numerics: &Numerics) -> T {
    terms.iter().fold(T::from_f64(0.0), |acc, &t| {
        let next = acc.add(t);
        match numerics.accumulate {
            Accumulate::Fp32 => next,
            Accumulate::Stepwise => numerics.store(ty.dtype, next),
        }
    })
}

/// Largest of `terms`; NaN if one of them is.
pub(crate) fn max<T: Real>(terms: &[T]) -> T {
    terms
        .iter()
        .copied()
        .reduce(|a, b| if a.is_nan() || a > b { a } else { b })
        .expect("axes are not empty, nor are dimensions")
}

/// The result of a reduction, or its cotangent, with the reduced axes put back as ones so that it broadcasts.
pub(crate) fn restore_dims(
    g: &mut Graph,
    y: Value,
    x: Value,
    axes_attr: &[i32],
    keep_dims: bool,
) -> Result<Value, TypeError> {
    if keep_dims {
        return Ok(y);
    }
    let axes = axes("reduce", axes_attr, &g.ty(x).shape)?;
    let axes: Vec<i32> = axes
        .into_iter()
        .map(|a| i32::try_from(a).expect("a rank fits an i32"))
        .collect();
    g.expand_dims(y, &axes)
}

/// `ct` of a reduction repeated over the reduced axes of `x`: a product with a splat, which is held as one element and
/// which whoever reads it broadcasting does without.
pub(crate) fn repeat_to(g: &mut Graph, ct: Value, x: Value) -> Result<Value, TypeError> {
    let ty = g.ty(x).clone();
    let ones = g.constant(crate::tensor::Literal::splat(ty, 1.0))?;
    g.mul(ct, ones)
}
