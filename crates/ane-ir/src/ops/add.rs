//! `add`: sum, broadcasting.
//!
//! ```text
//! # Definition   x + y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct to both, summed over broadcast axes
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
    /// x + y, broadcasting.
    Add {}
}

impl OpDef for Add {
    const NAME: &'static str = "add";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("y")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::binary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::arithmetic(xs, T::add, i32::wrapping_add)
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        Ok(vec![cx.unbroadcast(ct, 0)?, cx.unbroadcast(ct, 1)?])
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
    /// x + y, broadcasting.
    ///
    /// # Errors
    /// When the dtypes differ or the shapes do not broadcast.
    pub fn add(&mut self, x: Value, y: Value) -> Result<Value, TypeError> {
        self.push(Add {}, &[x, y])
    }
}
