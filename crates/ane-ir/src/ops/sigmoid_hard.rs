//! `sigmoid_hard`: a sigmoid of three straight lines.
//!
//! ```text
//! # Definition   min(max(alpha · x + beta, 0), 1); NaN if x is
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   alpha, beta: slope, and value at 0; PyTorch's hardsigmoid has 1/6 and 1/2
//! # Gradient     ct · alpha on the slope, 0 at its ends and beyond, as PyTorch
//! # Sources      coremltools iOS17 activation; PyTorch Hardsigmoid
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
    /// A sigmoid of three straight lines.
    SigmoidHard {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    }
}

impl OpDef for SigmoidHard {
    const NAME: &'static str = "sigmoid_hard";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let [alpha, beta]: [T; 2] = self.line_in(xs[0].ty.dtype, numerics);
        let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
        elementwise::map(xs[0], |x| {
            let y = x.mul(alpha).add(beta);
            if y < zero {
                zero
            } else if y > one {
                one
            } else {
                y
            }
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0].filter(|_| self.alpha != 0.0) else {
            return Ok(vec![Cotangent::Zero]);
        };
        // By x and not by y, which rounds to 0 and 1 before the slope ends.
        let ends = [-self.beta, 1.0 - self.beta].map(|y| y / self.alpha);
        let x = cx.xs[0];
        let zero = cx.scalar_like(ct, 0.0)?;
        let alpha = cx.scalar_like(ct, self.alpha)?;
        let first = cx.scalar_like(ct, ends[0].min(ends[1]))?;
        let last = cx.scalar_like(ct, ends[0].max(ends[1]))?;
        let sloped = cx.g.mul(ct, alpha)?;
        let before = cx.g.less(x, last)?;
        let sloped = cx.g.select(before, sloped, zero)?;
        let behind = cx.g.greater(x, first)?;
        Ok(vec![cx.g.select(behind, sloped, zero)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (1.0 / 6.0, 0.5, support::f(&[2, 3], Fill::Signed)),
            (-0.75, 0.25, support::f(&[2, 5], Fill::Distinct)),
            (0.2, 0.5, support::h(&[3, 37], Fill::Distinct)),
        ]
        .into_iter()
        .map(|(alpha, beta, x)| Sample::new(Self { alpha, beta }, [x]))
        .collect()
    }
}

impl Graph {
    /// `alpha` times `x` plus `beta`, kept from 0 to 1.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn sigmoid_hard(&mut self, x: Value, alpha: f64, beta: f64) -> Result<Value, TypeError> {
        self.push(SigmoidHard { alpha, beta }, &[x])
    }
}

impl SigmoidHard {
    /// Slope and value at 0 as a node of `dtype` holds them.
    pub fn line_in<T: Real>(&self, dtype: DType, numerics: &Numerics) -> [T; 2] {
        [self.alpha, self.beta].map(|x| numerics.store(dtype, T::from_f64(x)))
    }
}
