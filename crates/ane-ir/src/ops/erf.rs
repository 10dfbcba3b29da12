//! `erf`: Gauss error function.
//!
//! ```text
//! # Definition   2/√π · ∫₀ˣ e^(−t²) dt
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · 2/√π · e^(−x²)
//! # Sources      coremltools iOS15 elementwise_unary
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
    /// Gauss error function of every element.
    Erf {}
}

impl OpDef for Erf {
    const NAME: &'static str = "erf";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| x.map(Function::Erf))
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.xs[0];
        let x2 = cx.g.mul(x, x)?;
        let minus_one = cx.scalar_like(x, -1.0)?;
        let exponent = cx.g.mul(x2, minus_one)?;
        let bell = cx.g.exp(exponent)?;
        let height = cx.scalar_like(x, std::f64::consts::FRAC_2_SQRT_PI)?;
        let slope = cx.g.mul(bell, height)?;
        Ok(vec![cx.g.mul(ct, slope)?.into()])
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
    /// Gauss error function of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn erf(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Erf {}, &[x])
    }
}
