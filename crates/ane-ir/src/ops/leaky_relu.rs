//! `leaky_relu`: rectified linear unit with a slope below zero.
//!
//! ```text
//! # Definition   x where x ≥ 0, alpha · x elsewhere
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   alpha: the slope below zero
//! # Gradient     ct where x > 0, alpha · ct elsewhere, as PyTorch
//! # Sources      coremltools iOS15 activation
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support::{self, elementwise},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{DType, TensorType},
};
use smallvec::smallvec;

attributes! {
    /// Rectified linear unit with a slope below zero.
    LeakyRelu {
        /// The slope below zero.
        alpha: f64,
    }
}

impl OpDef for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let alpha = self.alpha_in::<T>(xs[0].ty.dtype, numerics);
        let zero = T::from_f64(0.0);
        elementwise::map(xs[0], |x| if x < zero { x.mul(alpha) } else { x })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let zero = cx.scalar_like(ct, 0.0)?;
        let alpha = cx.scalar_like(ct, self.alpha)?;
        let positive = cx.g.greater(cx.xs[0], zero)?;
        let sloped = cx.g.mul(ct, alpha)?;
        Ok(vec![cx.g.select(positive, ct, sloped)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (0.25, support::f(&[2, 3], Fill::Signed)),
            (0.01, support::h(&[3, 37], Fill::Signed)),
        ]
        .into_iter()
        .map(|(alpha, x)| Sample::new(Self { alpha }, [x]))
        .collect()
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let x = xs[0];
        let dtype = g.ty(x).dtype;
        let zero = g.scalar(dtype, 0.0)?;
        let alpha = g.scalar(dtype, self.alpha)?;
        let negative = g.less(x, zero)?;
        let sloped = g.mul(x, alpha)?;
        Ok(Some(smallvec![g.select(negative, sloped, x)?]))
    }
}

impl Graph {
    /// `x` where it is not negative, `alpha` times `x` elsewhere.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn leaky_relu(&mut self, x: Value, alpha: f64) -> Result<Value, TypeError> {
        self.push(LeakyRelu { alpha }, &[x])
    }
}

impl LeakyRelu {
    /// The slope as a node of `dtype` holds it.
    pub fn alpha_in<T: Real>(&self, dtype: DType, numerics: &Numerics) -> T {
        numerics.store(dtype, T::from_f64(self.alpha))
    }
}
