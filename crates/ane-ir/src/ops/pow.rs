//! `pow`: power, broadcasting.
//!
//! ```text
//! # Definition   xʸ
//! # Operands     x, y: fp16 | fp32          # Result    broadcast shape, same dtype
//! # Gradient     ct · y · xʸ⁻¹ and ct · xʸ · ln x, summed over broadcast axes
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
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
    /// x to the power y, broadcasting.
    Pow {}
}

impl OpDef for Pow {
    const NAME: &'static str = "pow";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("y")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        elementwise::binary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::zip(xs[0], xs[1], xs[0].ty.dtype, T::pow)
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        let (x, y) = (cx.xs[0], cx.xs[1]);
        let one = cx.scalar_like(y, 1.0)?;
        let less = cx.g.sub(y, one)?;
        let power = cx.g.pow(x, less)?;
        let slope = cx.g.mul(y, power)?;
        let dx = cx.g.mul(ct, slope)?;
        let ln = cx.g.log(x, 0.0)?;
        let slope = cx.g.mul(cx.ys[0], ln)?;
        let dy = cx.g.mul(ct, slope)?;
        Ok(vec![cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            [
                support::f(&[2, 3], Fill::Positive),
                support::f(&[2, 3], Fill::Signed),
            ],
            [
                support::f(&[2, 3], Fill::Positive),
                support::f(&[3], Fill::Signed),
            ],
            [
                support::f(&[2, 1], Fill::Positive),
                support::f(&[1, 3], Fill::Signed),
            ],
            [
                support::f(&[], Fill::Positive),
                support::f(&[2, 2], Fill::Signed),
            ],
            [
                support::h(&[5, 33], Fill::Positive),
                support::h(&[5, 1], Fill::Signed),
            ],
            [
                support::h(&[2, 3, 40], Fill::Positive),
                support::h(&[3, 1], Fill::Signed),
            ],
        ]
        .into_iter()
        .map(|xs| Sample::new(Self {}, xs))
        .collect()
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Graph {
    /// x to the power y, broadcasting.
    ///
    /// # Errors
    /// When the dtypes differ or the shapes do not broadcast.
    pub fn pow(&mut self, x: Value, y: Value) -> Result<Value, TypeError> {
        self.push(Pow {}, &[x, y])
    }
}
