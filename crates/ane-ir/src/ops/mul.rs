//! `mul`: product, broadcasting.
//!
//! ```text
//! # Definition   x · y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct · y and ct · x, summed over broadcast axes
//! # ANE          rule scaled_reduction; silicon returns −52416 for a product with an infinity (aneforge faq, M5)
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support::{self, elementwise},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::{NonFinite, Numerics, SILICON_INF_PRODUCT},
    tensor::{Real, Tensor},
    types::TensorType,
};

attributes! {
    /// x · y, broadcasting.
    Mul {}
}

impl OpDef for Mul {
    const NAME: &'static str = "mul";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("y")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::binary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let product = |x: T, y: T| {
            let infinite = x.to_f64().is_infinite() || y.to_f64().is_infinite();
            if numerics.non_finite == NonFinite::Silicon && infinite {
                T::from_f64(f64::from(SILICON_INF_PRODUCT))
            } else {
                x.mul(y)
            }
        };
        elementwise::arithmetic(xs, product, i32::wrapping_mul)
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        let dx = cx.g.mul(ct, cx.xs[1])?;
        let dy = cx.g.mul(ct, cx.xs[0])?;
        Ok(vec![cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            [
                support::f(&[2, 3], Fill::Signed),
                support::f(&[2, 3], Fill::Signed),
            ],
            [
                support::f(&[2, 3], Fill::Signed),
                support::f(&[3], Fill::Signed),
            ],
            [
                support::f(&[2, 1], Fill::Signed),
                support::f(&[1, 3], Fill::Signed),
            ],
            [
                support::f(&[], Fill::Signed),
                support::f(&[2, 2], Fill::Signed),
            ],
            [
                support::h(&[5, 33], Fill::Signed),
                support::h(&[5, 1], Fill::Signed),
            ],
            [
                support::h(&[2, 3, 40], Fill::Signed),
                support::h(&[3, 1], Fill::Signed),
            ],
        ]
        .into_iter()
        .map(|xs| Sample::new(Self {}, xs))
        .collect()
    }
}

impl Graph {
    /// x · y, broadcasting.
    ///
    /// # Errors
    /// When the dtypes differ or the shapes do not broadcast.
    pub fn mul(&mut self, x: Value, y: Value) -> Result<Value, TypeError> {
        self.push(Mul {}, &[x, y])
    }
}
