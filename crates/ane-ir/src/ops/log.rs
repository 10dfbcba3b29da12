//! `log`: natural logarithm.
//!
//! ```text
//! # Definition   ln(x + epsilon)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   epsilon: added to x; 1e-45 when left out
//! # Gradient     ct / (x + epsilon)
//! # ANE          rule required_parameters; silicon returns 0 for +inf (aneforge faq, M5)
//! # Sources      coremltools iOS15 elementwise_unary
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{self, elementwise},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::{NonFinite, Numerics},
    tensor::{Function, Real, Tensor},
    types::{DType, TensorType},
};

attributes! {
    /// ln(x + epsilon) of every element.
    Log {
        /// Added to x; Core ML's default when left out, which the engine refuses.
        epsilon: Option<f64>,
    }
}

/// What Core ML adds when `epsilon` is left out.
const DEFAULT_EPSILON: f64 = 1e-45;

impl OpDef for Log {
    const NAME: &'static str = "log";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let epsilon = self.epsilon_in::<T>(xs[0].ty.dtype, numerics);
        elementwise::map(xs[0], |x| {
            let x = x.add(epsilon);
            if numerics.non_finite == NonFinite::Silicon && x.to_f64() == f64::INFINITY {
                T::from_f64(0.0)
            } else {
                x.map(Function::Log)
            }
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let epsilon = cx.scalar_like(cx.xs[0], self.epsilon.unwrap_or(DEFAULT_EPSILON))?;
        let shifted = cx.g.add(cx.xs[0], epsilon)?;
        Ok(vec![cx.g.real_div(ct, shifted)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (Some(0.0), support::f(&[2, 3], Fill::Positive)),
            (Some(0.125), support::f(&[4], Fill::Positive)),
            (Some(0.125), support::h(&[3, 37], Fill::Positive)),
            (None, support::h(&[5], Fill::Positive)),
        ]
        .into_iter()
        .map(|(epsilon, x)| Sample::new(Self { epsilon }, [x]))
        .collect()
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Log {
    /// The value added, as a node of `dtype` holds it.
    pub fn epsilon_in<T: Real>(&self, dtype: DType, numerics: &Numerics) -> T {
        numerics.store(dtype, T::from_f64(self.epsilon.unwrap_or(DEFAULT_EPSILON)))
    }
}

impl Graph {
    /// ln(x + epsilon) of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn log(&mut self, x: Value, epsilon: f64) -> Result<Value, TypeError> {
        self.push(
            Log {
                epsilon: Some(epsilon),
            },
            &[x],
        )
    }
}
