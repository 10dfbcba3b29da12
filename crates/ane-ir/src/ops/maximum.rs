//! `maximum`: the larger of two, broadcasting.
//!
//! ```text
//! # Definition   x if x > y or x is NaN, else y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct to the larger, half to each where they are equal, as PyTorch
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support::{self, elementwise},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};

attributes! {
    /// The larger of x and y, broadcasting.
    Maximum {}
}

impl OpDef for Maximum {
    const NAME: &'static str = "maximum";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("y")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::binary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::zip(xs[0], xs[1], xs[0].ty.dtype, |x, y| {
            if x > y || x.is_nan() { x } else { y }
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        let (x, y) = (cx.xs[0], cx.xs[1]);
        let zero = cx.scalar_like(ct, 0.0)?;
        let half = cx.scalar_like(ct, 0.5)?;
        let shared = cx.g.mul(ct, half)?;
        let tie = cx.g.equal(x, y)?;
        let mut grads = Vec::new();
        for (operand, (a, b)) in [(x, y), (y, x)].into_iter().enumerate() {
            let wins = cx.g.greater(a, b)?;
            let whole = cx.g.select(wins, ct, zero)?;
            let share = cx.g.select(tie, shared, whole)?;
            grads.push(cx.unbroadcast(share, operand)?);
        }
        Ok(grads)
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            [
                support::f(&[2, 3], Fill::Positive),
                support::f(&[2, 3], Fill::Distinct),
            ],
            [
                support::f(&[2, 3], Fill::Positive),
                support::f(&[3], Fill::Distinct),
            ],
            [
                support::f(&[2, 1], Fill::Positive),
                support::f(&[1, 3], Fill::Distinct),
            ],
            [
                support::f(&[], Fill::Positive),
                support::f(&[2, 2], Fill::Distinct),
            ],
            [
                support::h(&[5, 33], Fill::Positive),
                support::h(&[5, 1], Fill::Distinct),
            ],
            [
                support::h(&[2, 3, 40], Fill::Positive),
                support::h(&[3, 1], Fill::Distinct),
            ],
        ]
        .into_iter()
        .map(|xs| Sample::new(Self {}, xs))
        .collect()
    }
}

impl Graph {
    /// The larger of x and y, broadcasting.
    ///
    /// # Errors
    /// When the dtypes differ or the shapes do not broadcast.
    pub fn maximum(&mut self, x: Value, y: Value) -> Result<Value, TypeError> {
        self.push(Maximum {}, &[x, y])
    }
}
