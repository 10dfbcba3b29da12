//! `equal`: comparison, broadcasting.
//!
//! ```text
//! # Definition   x == y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, bool
//! # Gradient     zero everywhere
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
    /// Whether x is equal to y, broadcasting.
    Equal {}
}

impl OpDef for Equal {
    const NAME: &'static str = "equal";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("y")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::comparison_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::compare(xs, |a, b| a == b)
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let _ = (cx, cts);
        Ok(vec![Cotangent::Zero; 2])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            [
                support::f(&[2, 3], Fill::Distinct),
                support::f(&[2, 3], Fill::Distinct),
            ],
            [
                support::f(&[2, 3], Fill::Distinct),
                support::f(&[3], Fill::Distinct),
            ],
            [
                support::f(&[2, 1], Fill::Distinct),
                support::f(&[1, 3], Fill::Distinct),
            ],
            [
                support::f(&[], Fill::Distinct),
                support::f(&[2, 2], Fill::Distinct),
            ],
            [
                support::h(&[5, 33], Fill::Distinct),
                support::h(&[5, 1], Fill::Distinct),
            ],
            [
                support::h(&[2, 3, 40], Fill::Distinct),
                support::h(&[3, 1], Fill::Distinct),
            ],
        ]
        .into_iter()
        .map(|xs| Sample::new(Self {}, xs))
        .collect()
    }
}

impl Graph {
    /// Whether x is equal to y, broadcasting.
    ///
    /// # Errors
    /// When the dtypes differ or the shapes do not broadcast.
    pub fn equal(&mut self, x: Value, y: Value) -> Result<Value, TypeError> {
        self.push(Equal {}, &[x, y])
    }
}
