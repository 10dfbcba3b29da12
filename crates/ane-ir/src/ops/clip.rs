//! `clip`: values kept within bounds.
//!
//! ```text
//! # Definition   min(max(x, alpha), beta); NaN if x is
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   alpha, beta: lower and upper bound, alpha < beta
//! # Gradient     ct between alpha and beta, 0 at them and beyond, as PyTorch
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
use std::cmp::Ordering;

attributes! {
    /// Every element kept within bounds.
    Clip {
        /// Lower bound.
        alpha: f64,
        /// Upper bound.
        beta: f64,
    }
}

impl OpDef for Clip {
    const NAME: &'static str = "clip";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        if self.alpha.partial_cmp(&self.beta) != Some(Ordering::Less) {
            let expected = format!("less than beta, {}", self.beta);
            return Err(support::attribute(
                Self::NAME,
                "alpha",
                expected,
                self.alpha,
            ));
        }
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let [alpha, beta]: [T; 2] = self.bounds_in(xs[0].ty.dtype, numerics);
        elementwise::map(xs[0], |x| {
            if x < alpha {
                alpha
            } else if x > beta {
                beta
            } else {
                x
            }
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.xs[0];
        let zero = cx.scalar_like(ct, 0.0)?;
        let alpha = cx.scalar_like(ct, self.alpha)?;
        let beta = cx.scalar_like(ct, self.beta)?;
        let below = cx.g.less(x, beta)?;
        let ct = cx.g.select(below, ct, zero)?;
        let above = cx.g.greater(x, alpha)?;
        Ok(vec![cx.g.select(above, ct, zero)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (-0.5, 1.0, support::f(&[2, 5], Fill::Distinct)),
            (0.0, 6.0, support::f(&[3], Fill::Signed)),
            (-0.5, 0.7, support::h(&[3, 37], Fill::Distinct)),
        ]
        .into_iter()
        .map(|(alpha, beta, x)| Sample::new(Self { alpha, beta }, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` kept from `alpha` to `beta`.
    ///
    /// # Errors
    /// When `x` is not floating point or `alpha` is not less than `beta`.
    pub fn clip(&mut self, x: Value, alpha: f64, beta: f64) -> Result<Value, TypeError> {
        self.push(Clip { alpha, beta }, &[x])
    }
}

impl Clip {
    /// The bounds as a node of `dtype` holds them.
    pub fn bounds_in<T: Real>(&self, dtype: DType, numerics: &Numerics) -> [T; 2] {
        [self.alpha, self.beta].map(|x| numerics.store(dtype, T::from_f64(x)))
    }
}
