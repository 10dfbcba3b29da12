//! `abs`: magnitude.
//!
//! ```text
//! # Definition   |x|
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · sign(x); 0 at 0, as PyTorch
//! # Sources      coremltools iOS15 elementwise_unary
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
    /// Magnitude of every element.
    Abs {}
}

impl OpDef for Abs {
    const NAME: &'static str = "abs";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| T::from_f64(x.to_f64().abs()))
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let s = cx.g.sign(cx.xs[0])?;
        Ok(vec![cx.g.mul(ct, s)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            support::f(&[2, 3], Fill::Signed),
            support::h(&[3, 37], Fill::Signed),
        ]
        .into_iter()
        .map(|x| Sample::new(Self {}, [x]))
        .collect()
    }
}

impl Graph {
    /// Magnitude of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn abs(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Abs {}, &[x])
    }
}
