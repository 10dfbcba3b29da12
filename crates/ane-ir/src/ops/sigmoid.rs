//! `sigmoid`: logistic function.
//!
//! ```text
//! # Definition   1 / (1 + e⁻ˣ)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · y · (1 − y)
//! # Sources      coremltools iOS15 activation
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
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
    /// Logistic function of every element.
    Sigmoid {}
}

impl OpDef for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| {
            let one = T::from_f64(1.0);
            one.div(one.add(T::from_f64(0.0).sub(x).map(Function::Exp)))
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let y = cx.ys[0];
        let one = cx.scalar_like(y, 1.0)?;
        let d = cx.g.sub(one, y)?;
        let d = cx.g.mul(y, d)?;
        Ok(vec![cx.g.mul(ct, d)?.into()])
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

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Graph {
    /// Logistic function of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn sigmoid(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Sigmoid {}, &[x])
    }
}
