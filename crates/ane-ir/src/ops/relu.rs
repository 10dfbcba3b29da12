//! `relu`: rectified linear unit.
//!
//! ```text
//! # Definition   max(x, 0)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct where x > 0, else 0; at 0 it is 0, as PyTorch. Read from the result: y > 0 exactly where x > 0
//! # Sources      coremltools iOS15 activation
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
    /// Every element, 0 where it is negative.
    Relu {}
}

impl OpDef for Relu {
    const NAME: &'static str = "relu";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| {
            let zero = T::from_f64(0.0);
            if x > zero || x.is_nan() { x } else { zero }
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let y = cx.ys[0];
        let zero = cx.scalar_like(y, 0.0)?;
        let positive = cx.g.greater(y, zero)?;
        Ok(vec![cx.g.select(positive, ct, zero)?.into()])
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
    /// Every element, 0 where it is negative.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn relu(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Relu {}, &[x])
    }
}
