//! Loops, type rules and cotangents of elementwise ops, and what those of one operand and of two share.

use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    ops::{Fill, OpDef, ResultTypes, Sample, Tolerance, TypeError, support},
    tensor::{Real, Tensor},
    types::{DType, Shape, TensorType},
};

/// Type rule of a float function of one argument.
pub(crate) fn unary_type(op: &'static str, xs: &[&TensorType]) -> Result<ResultTypes, TypeError> {
    support::float(op, "x", xs[0])?;
    support::one(xs[0].clone())
}

/// What one function of one argument does differently from the others.
pub(crate) trait Unary {
    /// How the operand of its samples is filled.
    const FILL: Fill = Fill::Signed;
    /// How far the engine may be from [`Unary::of`].
    const TOLERANCE: Tolerance = Tolerance::Exact;
    /// The function.
    fn of<T: Real>(x: T) -> T;
    /// Cotangent of the operand.
    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError>;
    /// The function of other ops, for targets that lack it.
    fn composed(_g: &mut Graph, _x: Value) -> Result<Option<Value>, TypeError> {
        Ok(None)
    }
}

/// A function of one argument from its [`Unary`]: the op, its definition and its builder method.
macro_rules! unary {
    ($(#[$doc:meta])* $op:ident as $name:ident) => {
        $crate::ops::attributes! {
            $(#[$doc])*
            $op {}
        }

        impl $crate::ops::OpDef for $op {
            const NAME: &'static str = stringify!($name);
            const OPERANDS: &'static [$crate::ops::Operand] =
                &[$crate::ops::Operand::required("x")];

            fn infer(
                &self,
                xs: &$crate::ops::Operands<'_, &$crate::TensorType>,
            ) -> Result<$crate::ops::ResultTypes, $crate::ops::TypeError> {
                $crate::ops::support::elementwise::unary_type(Self::NAME, xs)
            }

            fn eval<T: $crate::Real>(
                &self,
                xs: &$crate::ops::Operands<'_, &$crate::Tensor<T>>,
                _: &$crate::Numerics,
            ) -> Vec<$crate::Tensor<T>> {
                use $crate::ops::support::elementwise::{Unary, map};
                map(xs[0], <Self as Unary>::of)
            }

            fn vjp(
                &self,
                cx: &mut $crate::autodiff::VjpCx<'_>,
                cts: &[Option<$crate::Value>],
            ) -> Result<Vec<$crate::autodiff::Cotangent>, $crate::ops::TypeError> {
                use $crate::ops::support::elementwise::Unary;
                let cotangent = cts[0].map(|ct| <Self as Unary>::gradient(cx, ct));
                Ok(vec![cotangent.unwrap_or(Ok($crate::autodiff::Cotangent::Zero))?])
            }

            fn decompose(
                &self,
                g: &mut $crate::Graph,
                xs: &$crate::ops::Operands<'_, $crate::Value>,
            ) -> Result<Option<$crate::graph::Results>, $crate::ops::TypeError> {
                use $crate::ops::support::elementwise::Unary;
                let composed = <Self as Unary>::composed(g, xs[0])?;
                Ok(composed.map(|y| smallvec::smallvec![y]))
            }

            fn samples() -> Vec<$crate::ops::Sample<Self>> {
                $crate::ops::support::elementwise::unary_samples(Self {})
            }

            fn tolerance() -> $crate::ops::Tolerance {
                <Self as $crate::ops::support::elementwise::Unary>::TOLERANCE
            }
        }

        impl $crate::Graph {
            $(#[$doc])*
            ///
            /// # Errors
            /// When `x` is not floating point.
            pub fn $name(
                &mut self,
                x: $crate::Value,
            ) -> Result<$crate::Value, $crate::ops::TypeError> {
                self.push($op {}, &[x])
            }
        }
    };
}
pub(crate) use unary;

/// Samples of a function of one argument.
pub(crate) fn unary_samples<O: OpDef + Unary>(op: O) -> Vec<Sample<O>> {
    [support::f(&[2, 3], O::FILL), support::h(&[3, 37], O::FILL)]
        .into_iter()
        .map(|x| Sample::new(op.clone(), [x]))
        .collect()
}

/// What one function of two broadcast arguments does differently from the others.
pub(crate) trait Binary {
    /// How the operands of its samples are filled.
    const FILL: [Fill; 2] = [Fill::Signed; 2];
    /// How far the engine may be from [`Binary::of`].
    const TOLERANCE: Tolerance = Tolerance::Exact;
    /// The operands that it takes.
    const TAKES: Takes = Takes::Numbers;
    /// The dtype of its result; that of the operands where `None`.
    const RESULT: Option<DType> = None;
    /// The function.
    fn of<T: Real>(x: T, y: T, numerics: &Numerics) -> T;
    /// The function of two int32, where it is not exactly [`Binary::of`].
    fn of_integers(_x: i32, _y: i32) -> Option<i32> {
        None
    }
    /// Cotangents of both operands; `ct` has the broadcast shape.
    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError>;
    /// The function of other ops, for targets that lack it.
    fn composed(_g: &mut Graph, _x: Value, _y: Value) -> Result<Option<Value>, TypeError> {
        Ok(None)
    }
}

/// Dtypes that a function of two arguments takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// fp16, fp32 and int32.
    Numbers,
    /// fp16 and fp32.
    Floats,
    /// Bool.
    Truth,
}

/// A function of two broadcast arguments from its [`Binary`]: the op, its definition and its builder method.
macro_rules! binary {
    ($(#[$doc:meta])* $op:ident as $name:ident) => {
        $crate::ops::attributes! {
            $(#[$doc])*
            $op {}
        }

        impl $crate::ops::OpDef for $op {
            const NAME: &'static str = stringify!($name);
            const OPERANDS: &'static [$crate::ops::Operand] = &[
                $crate::ops::Operand::required("x"),
                $crate::ops::Operand::required("y"),
            ];
            const BROADCASTS: bool = true;

            fn infer(
                &self,
                xs: &$crate::ops::Operands<'_, &$crate::TensorType>,
            ) -> Result<$crate::ops::ResultTypes, $crate::ops::TypeError> {
                $crate::ops::support::elementwise::binary_type::<Self>(xs)
            }

            fn eval<T: $crate::Real>(
                &self,
                xs: &$crate::ops::Operands<'_, &$crate::Tensor<T>>,
                numerics: &$crate::Numerics,
            ) -> Vec<$crate::Tensor<T>> {
                $crate::ops::support::elementwise::evaluate::<Self, T>(xs, numerics)
            }

            fn vjp(
                &self,
                cx: &mut $crate::autodiff::VjpCx<'_>,
                cts: &[Option<$crate::Value>],
            ) -> Result<Vec<$crate::autodiff::Cotangent>, $crate::ops::TypeError> {
                match cts[0] {
                    None => Ok(vec![$crate::autodiff::Cotangent::Zero; 2]),
                    Some(ct) => {
                        use $crate::ops::support::elementwise::Binary;
                        <Self as Binary>::gradient(cx, ct).map(Vec::from)
                    }
                }
            }

            fn decompose(
                &self,
                g: &mut $crate::Graph,
                xs: &$crate::ops::Operands<'_, $crate::Value>,
            ) -> Result<Option<$crate::graph::Results>, $crate::ops::TypeError> {
                use $crate::ops::support::elementwise::Binary;
                let composed = <Self as Binary>::composed(g, xs[0], xs[1])?;
                Ok(composed.map(|z| smallvec::smallvec![z]))
            }

            fn samples() -> Vec<$crate::ops::Sample<Self>> {
                $crate::ops::support::elementwise::binary_samples(Self {})
            }

            fn tolerance() -> $crate::ops::Tolerance {
                <Self as $crate::ops::support::elementwise::Binary>::TOLERANCE
            }
        }

        impl $crate::Graph {
            $(#[$doc])*
            ///
            /// # Errors
            /// When the dtypes are refused or differ, or the shapes do not broadcast.
            pub fn $name(
                &mut self,
                x: $crate::Value,
                y: $crate::Value,
            ) -> Result<$crate::Value, $crate::ops::TypeError> {
                self.push($op {}, &[x, y])
            }
        }
    };
}
pub(crate) use binary;

/// Type rule of a function of two arguments.
pub(crate) fn binary_type<O: OpDef + Binary>(xs: &[&TensorType]) -> Result<ResultTypes, TypeError> {
    match O::TAKES {
        Takes::Numbers => support::number(O::NAME, "x", xs[0])?,
        Takes::Floats => support::float(O::NAME, "x", xs[0])?,
        Takes::Truth => support::truth(O::NAME, "x", xs[0])?,
    }
    let shape = support::broadcast(O::NAME, xs[0], xs[1])?;
    support::one(TensorType {
        dtype: O::RESULT.unwrap_or(xs[0].dtype),
        shape,
    })
}

/// Definition of a function of two arguments.
pub(crate) fn evaluate<O: Binary, T: Real>(
    xs: &[&Tensor<T>],
    numerics: &Numerics,
) -> Vec<Tensor<T>> {
    let dtype = xs[0].ty.dtype;
    zip(xs[0], xs[1], O::RESULT.unwrap_or(dtype), |x, y| {
        let integer = if dtype.is_float() {
            None
        } else {
            O::of_integers(x.to_int(), y.to_int())
        };
        integer.map_or_else(|| O::of(x, y, numerics), T::from_int)
    })
}

/// Samples of a function of two arguments: equal shapes, and broadcasting of one operand and of both.
pub(crate) fn binary_samples<O: OpDef + Binary>(op: O) -> Vec<Sample<O>> {
    let [a, b] = O::FILL;
    [
        [support::f(&[2, 3], a), support::f(&[2, 3], b)],
        [support::f(&[2, 3], a), support::f(&[3], b)],
        [support::f(&[2, 1], a), support::f(&[1, 3], b)],
        [support::f(&[], a), support::f(&[2, 2], b)],
        [support::h(&[5, 33], a), support::h(&[5, 1], b)],
        [support::h(&[2, 3, 40], a), support::h(&[3, 1], b)],
    ]
    .into_iter()
    .map(|xs| match O::TAKES {
        Takes::Numbers | Takes::Floats => xs,
        Takes::Truth => xs.map(|(ty, fill)| (TensorType::new(DType::Bool, ty.shape), fill)),
    })
    .map(|xs| Sample::new(op.clone(), xs))
    .collect()
}

/// 1 where `x`, which is bool, is true and 0 where it is not, as fp16.
pub(crate) fn number_of(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let one = g.scalar(DType::Fp16, 1.0)?;
    let zero = g.scalar(DType::Fp16, 0.0)?;
    g.select(x, one, zero)
}

/// The inverse of [`number_of`].
pub(crate) fn truth_of(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let half = g.scalar(DType::Fp16, 0.5)?;
    g.greater(x, half)
}

/// 1 for true, 0 for false.
pub(crate) fn truth<T: Real>(holds: bool) -> T {
    T::from_f64(f64::from(u8::from(holds)))
}

/// Cotangents of maximum and minimum: `ct` to the operand that `wins`, half to each where they are equal.
pub(crate) fn to_winner(
    cx: &mut VjpCx<'_>,
    ct: Value,
    wins: fn(&mut Graph, Value, Value) -> Result<Value, TypeError>,
) -> Result<[Cotangent; 2], TypeError> {
    let (x, y) = (cx.xs[0], cx.xs[1]);
    let zero = cx.scalar_like(ct, 0.0)?;
    let half = cx.scalar_like(ct, 0.5)?;
    let shared = cx.g.mul(ct, half)?;
    let tie = cx.g.equal(x, y)?;
    let mut share = |operand, a, b| {
        let wins = wins(cx.g, a, b)?;
        let whole = cx.g.select(wins, ct, zero)?;
        let share = cx.g.select(tie, shared, whole)?;
        cx.unbroadcast(share, operand)
    };
    Ok([share(0, x, y)?, share(1, y, x)?])
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
