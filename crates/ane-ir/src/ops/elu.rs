//! `elu`: exponential linear unit.
//!
//! ```text
//! # Definition   x where x > 0, alpha · (eˣ − 1) elsewhere
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   alpha: how far below zero it falls
//! # Gradient     ct where x > 0, ct · alpha · eˣ elsewhere, as PyTorch
//! # Sources      coremltools iOS17 activation; Clevert et al. 2015, arXiv 1511.07289, section 3
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
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
    /// Exponential linear unit.
    Elu {
        /// How far below zero it falls.
        alpha: f64,
    }
}

impl OpDef for Elu {
    const NAME: &'static str = "elu";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let alpha = self.alpha_in::<T>(xs[0].ty.dtype, numerics);
        let zero = T::from_f64(0.0);
        elementwise::map(xs[0], |x| {
            if x > zero {
                x
            } else {
                alpha.mul(T::from_f64(x.to_f64().exp_m1()))
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
        // The exponential of what is positive would leave fp16, and nobody asks for it.
        let negative = cx.g.minimum(x, zero)?;
        let exp = cx.g.exp(negative)?;
        let slope = cx.g.mul(exp, alpha)?;
        let sloped = cx.g.mul(ct, slope)?;
        let positive = cx.g.greater(x, zero)?;
        Ok(vec![cx.g.select(positive, ct, sloped)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (1.0, support::f(&[2, 3], Fill::Signed)),
            (0.5, support::h(&[3, 37], Fill::Signed)),
        ]
        .into_iter()
        .map(|(alpha, x)| Sample::new(Self { alpha }, [x]))
        .collect()
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Graph {
    /// `x` where it is positive, `alpha` times eˣ − 1 elsewhere.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn elu(&mut self, x: Value, alpha: f64) -> Result<Value, TypeError> {
        self.push(Elu { alpha }, &[x])
    }
}

impl Elu {
    /// The factor as a node of `dtype` holds it.
    pub fn alpha_in<T: Real>(&self, dtype: DType, numerics: &Numerics) -> T {
        numerics.store(dtype, T::from_f64(self.alpha))
    }
}
