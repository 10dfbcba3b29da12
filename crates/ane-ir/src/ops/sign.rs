//! `sign`: −1, 0 or 1.
//!
//! ```text
//! # Definition   x/|x|, 0 at 0
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     zero everywhere
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
    /// Sign of every element: −1, 0 or 1.
    Sign {}
}

impl OpDef for Sign {
    const NAME: &'static str = "sign";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| {
            let x = x.to_f64();
            T::from_f64(if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x
            })
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let _ = (cx, ct);
        Ok(vec![Cotangent::Zero])
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
    /// Sign of every element: −1, 0 or 1.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn sign(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Sign {}, &[x])
    }
}
