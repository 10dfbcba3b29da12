//! What reductions share: type rule, loops, attributes and samples.

use crate::{
    autodiff::VjpCx,
    graph::{Graph, Value},
    numerics::{Accumulate, Numerics},
    ops::{Fill, OpDef, ResultTypes, Sample, Tolerance, TypeError, support},
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
    let (bases, within) = offsets(&x.ty.shape, &axes);
    let data = bases
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

/// Where the groups over `axes` start, and where in a group its elements lie; both in row-major order.
pub(crate) fn offsets(x: &Shape, axes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let strides = x.strides();
    let of = |within: bool| {
        let mut all = vec![0];
        for axis in (0..x.rank()).filter(|i| axes.contains(i) == within) {
            all = all
                .iter()
                .flat_map(|&o| (0..x.dims()[axis]).map(move |i| (o, i)))
                .map(|(o, i)| o + i * strides[axis])
                .collect();
        }
        all
    };
    (of(false), of(true))
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

/// Smallest of `terms`; NaN if one of them is.
pub(crate) fn min<T: Real>(terms: &[T]) -> T {
    terms
        .iter()
        .copied()
        .reduce(|a, b| if a.is_nan() || a < b { a } else { b })
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

/// What one reduction does differently from the others.
pub(crate) trait Reduction {
    /// How its samples are filled.
    const FILL: Fill = Fill::Signed;
    /// How far the engine may be from [`Reduction::one`].
    const TOLERANCE: Tolerance = Tolerance::Sum;
    /// The one element that a group becomes; `sum` adds up as the numeric policy says.
    fn one<T: Real>(group: &[T], sum: impl Fn(&[T]) -> T) -> T;
    /// The cotangent of the operand. `y`, the result, and `ct`, its cotangent, have the reduced axes with length 1.
    fn gradient(&self, cx: &mut VjpCx<'_>, y: Value, ct: Value) -> Result<Value, TypeError>;
}

/// A reduction from its [`Reduction`]: the op with its attributes, its definition and its builder method.
macro_rules! reduction {
    ($(#[$doc:meta])* $op:ident as $name:ident) => {
        $crate::ops::attributes! {
            $(#[$doc])*
            $op {
                /// Axes that are reduced; negative ones count from the end.
                axes: Vec<i32>,
                /// Whether the reduced axes stay, with length 1.
                keep_dims: bool = false,
            }
        }

        impl $crate::ops::OpDef for $op {
            const NAME: &'static str = stringify!($name);
            const OPERANDS: &'static [$crate::ops::Operand] =
                &[$crate::ops::Operand::required("x")];

            fn infer(
                &self,
                xs: &$crate::ops::Operands<'_, &$crate::TensorType>,
            ) -> Result<$crate::ops::ResultTypes, $crate::ops::TypeError> {
                $crate::ops::support::reduce::ty(Self::NAME, xs[0], &self.axes, self.keep_dims)
            }

            fn eval<T: $crate::Real>(
                &self,
                xs: &$crate::ops::Operands<'_, &$crate::Tensor<T>>,
                numerics: &$crate::Numerics,
            ) -> Vec<$crate::Tensor<T>> {
                use $crate::ops::support::reduce::{self, Reduction};
                let sum = |terms: &[T]| reduce::sum(&xs[0].ty, terms, numerics);
                reduce::groups(xs[0], &self.axes, self.keep_dims, |group| {
                    <Self as Reduction>::one(group, sum)
                })
            }

            fn vjp(
                &self,
                cx: &mut $crate::autodiff::VjpCx<'_>,
                cts: &[Option<$crate::Value>],
            ) -> Result<Vec<$crate::autodiff::Cotangent>, $crate::ops::TypeError> {
                use $crate::ops::support::reduce::{self, Reduction};
                let Some(ct) = cts[0] else {
                    return Ok(vec![$crate::autodiff::Cotangent::Zero]);
                };
                let (x, y) = (cx.xs[0], cx.ys[0]);
                let ct = reduce::restore_dims(cx.g, ct, x, &self.axes, self.keep_dims)?;
                let y = reduce::restore_dims(cx.g, y, x, &self.axes, self.keep_dims)?;
                Ok(vec![Reduction::gradient(self, cx, y, ct)?.into()])
            }

            fn samples() -> Vec<$crate::ops::Sample<Self>> {
                use $crate::ops::support::reduce::{self, Reduction};
                reduce::samples(<Self as Reduction>::FILL, |axes, keep_dims| Self {
                    axes,
                    keep_dims,
                })
            }

            fn tolerance() -> $crate::ops::Tolerance {
                <Self as $crate::ops::support::reduce::Reduction>::TOLERANCE
            }
        }

        impl $crate::Graph {
            $(#[$doc])*
            ///
            /// # Errors
            /// When `x` is not floating point or an axis does not exist.
            pub fn $name(
                &mut self,
                x: $crate::Value,
                axes: &[i32],
                keep_dims: bool,
            ) -> Result<$crate::Value, $crate::ops::TypeError> {
                let axes = axes.to_vec();
                self.push($op { axes, keep_dims }, &[x])
            }
        }
    };
}
pub(crate) use reduction;

/// Samples of a reduction: one axis and several, first, inner and last, kept and removed.
pub(crate) fn samples<O: OpDef>(fill: Fill, op: impl Fn(Vec<i32>, bool) -> O) -> Vec<Sample<O>> {
    [
        (support::f(&[2, 3], fill), vec![1], true),
        (support::f(&[2, 3, 2], fill), vec![0, -1], false),
        (support::f(&[4], fill), vec![0], false),
        (support::h(&[3, 70], fill), vec![-1], true),
        (support::h(&[70, 3], fill), vec![0], false),
        (support::h(&[2, 3, 4, 5], fill), vec![1, 2], true),
        (support::h(&[2, 33], fill), vec![0, 1], true),
    ]
    .into_iter()
    .map(|(x, axes, keep_dims)| Sample::new(op(axes, keep_dims), [x]))
    .collect()
}

/// `ct`, of a reduction, divided by the number of elements in a group. Divisors are whole numbers that every dtype
/// holds, where the lengths of the axes are: a reciprocal would be rounded, and tiny in fp16.
pub(crate) fn divided_by_count(
    cx: &mut VjpCx<'_>,
    ct: Value,
    axes_attr: &[i32],
) -> Result<Value, TypeError> {
    const MOST_EXACT: usize = 2048;
    let shape = cx.g.ty(cx.xs[0]).shape.clone();
    let mut divisors = vec![1];
    for axis in axes("reduce", axes_attr, &shape)? {
        let length = shape.dims()[axis];
        match divisors.last_mut() {
            Some(last) if *last * length <= MOST_EXACT => *last *= length,
            _ => divisors.push(length),
        }
    }
    let mut share = ct;
    for divisor in divisors.into_iter().filter(|&d| d > 1) {
        let divisor = cx.scalar_like(ct, divisor as f64)?;
        share = cx.g.real_div(share, divisor)?;
    }
    Ok(share)
}

/// `ct` where an element of `x` equals the `y` of its group, 0 elsewhere; shared equally where several do.
pub(crate) fn to_equal(
    cx: &mut VjpCx<'_>,
    y: Value,
    ct: Value,
    axes: &[i32],
) -> Result<Value, TypeError> {
    let equal = cx.g.equal(cx.xs[0], y)?;
    let (zero, one) = (cx.scalar_like(ct, 0.0)?, cx.scalar_like(ct, 1.0)?);
    let mask = cx.g.select(equal, one, zero)?;
    let count = cx.g.reduce_sum(mask, axes, true)?;
    let share = cx.g.real_div(ct, count)?;
    cx.g.mul(mask, share)
}
