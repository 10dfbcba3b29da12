//! `logical_not`: negation.
//!
//! ```text
//! # Definition   ¬x
//! # Operands     x: [*D] bool          # Result    [*D] bool
//! # Gradient     zero: truth has no derivative
//! # Sources      coremltools iOS15 elementwise_unary
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{DType, TensorType},
};

attributes! {
    /// Negation.
    LogicalNot {}
}

impl OpDef for LogicalNot {
    const NAME: &'static str = "logical_not";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::truth(Self::NAME, "x", xs[0])?;
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        support::elementwise::map(xs[0], |x| {
            T::from_f64(f64::from(u8::from(x.to_f64() == 0.0)))
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let _ = (cx, cts);
        Ok(vec![Cotangent::Zero])
    }

    fn samples() -> Vec<Sample<Self>> {
        [[2, 3], [3, 37]]
            .into_iter()
            .map(|shape| {
                Sample::new(
                    Self {},
                    [(TensorType::new(DType::Bool, shape), Fill::Truth)],
                )
            })
            .collect()
    }
}

impl Graph {
    /// Whether `x` is false.
    ///
    /// # Errors
    /// When `x` is not bool.
    pub fn logical_not(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(LogicalNot {}, &[x])
    }
}
