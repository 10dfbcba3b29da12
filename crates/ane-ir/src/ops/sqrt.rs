//! `sqrt`: square root.
//!
//! ```text
//! # Definition   √x
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · 0.5 / y
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
    tensor::{Function, Real, Tensor},
    types::TensorType,
};

attributes! {
    /// Square root of every element.
    Sqrt {}
}

impl OpDef for Sqrt {
    const NAME: &'static str = "sqrt";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| x.map(Function::Sqrt))
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let half = cx.scalar_like(ct, 0.5)?;
        let scaled = cx.g.mul(ct, half)?;
        Ok(vec![cx.g.real_div(scaled, cx.ys[0])?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            support::f(&[2, 3], Fill::Positive),
            support::h(&[3, 37], Fill::Positive),
        ]
        .into_iter()
        .map(|x| Sample::new(Self {}, [x]))
        .collect()
    }
}

impl Graph {
    /// Square root of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn sqrt(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Sqrt {}, &[x])
    }
}
