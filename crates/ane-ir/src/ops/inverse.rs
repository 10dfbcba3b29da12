//! `inverse`: reciprocal.
//!
//! ```text
//! # Definition   1 / (x + epsilon)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   epsilon: added to x; 1e-4 when left out
//! # Gradient     −ct · y²
//! # ANE          rule required_parameters
//! # Sources      coremltools iOS17 elementwise_unary
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
    types::{DType, TensorType},
};

attributes! {
    /// 1 / (x + epsilon) of every element.
    Inverse {
        /// Added to x; Core ML's default when left out, which the engine refuses.
        epsilon: Option<f64>,
    }
}

/// What Core ML adds when `epsilon` is left out.
pub const DEFAULT_EPSILON: f64 = 1e-4;

impl OpDef for Inverse {
    const NAME: &'static str = "inverse";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let epsilon = self.epsilon_in::<T>(xs[0].ty.dtype, numerics);
        elementwise::map(xs[0], |x| T::from_f64(1.0).div(x.add(epsilon)))
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let y = cx.ys[0];
        let minus_one = cx.scalar_like(y, -1.0)?;
        // Twice by the result: its square leaves fp16 where x is below 1/256.
        let once = cx.g.mul(ct, y)?;
        let twice = cx.g.mul(once, y)?;
        Ok(vec![cx.g.mul(twice, minus_one)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (Some(0.0), support::f(&[2, 3], Fill::Signed)),
            (Some(0.125), support::f(&[4], Fill::Positive)),
            (Some(1e-4), support::h(&[3, 37], Fill::Signed)),
            (None, support::h(&[5], Fill::Positive)),
        ]
        .into_iter()
        .map(|(epsilon, x)| Sample::new(Self { epsilon }, [x]))
        .collect()
    }
}

impl Inverse {
    /// The value added, as a node of `dtype` holds it.
    pub fn epsilon_in<T: Real>(&self, dtype: DType, numerics: &Numerics) -> T {
        numerics.store(dtype, T::from_f64(self.epsilon.unwrap_or(DEFAULT_EPSILON)))
    }
}

impl Graph {
    /// 1 / (x + epsilon) of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn inverse(&mut self, x: Value, epsilon: f64) -> Result<Value, TypeError> {
        let epsilon = Some(epsilon);
        self.push(Inverse { epsilon }, &[x])
    }
}
