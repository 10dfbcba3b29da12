//! `instance_norm`: every channel of every image normalised.
//!
//! ```text
//! # Definition   (x − mean) / √(variance + epsilon) · gamma[c] + beta[c], mean and biased variance over *D
//! # Operands     x: [N, C, *D] fp16 | fp32, one to three spatial axes; gamma, beta: [C], optional, dtype of x
//! # Result       [N, C, *D], dtype of x
//! # Attributes   epsilon (1e-5)
//! # Gradient     as of layer_norm
//! # Sources      coremltools iOS15 normalization; Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022; PyTorch instance_norm
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{
        self,
        normalize::{self, DEFAULT_EPSILON, Normalization},
        window,
    },
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// Every channel of every image normalised.
    InstanceNorm {
        /// Added to the variance.
        epsilon: f64 = DEFAULT_EPSILON,
    }
}

impl OpDef for InstanceNorm {
    const NAME: &'static str = "instance_norm";
    const OPERANDS: &'static [Operand] = normalize::OPERANDS;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        window::spatial(Self::NAME, "x", xs[0])?;
        self.over(&xs[0].shape).check(Self::NAME, xs)?;
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        self.over(&xs[0].ty.shape).eval(xs, numerics)
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        self.over(&cx.g.ty(cx.xs[0]).shape).vjp(cx, cts)
    }

    fn samples() -> Vec<Sample<Self>> {
        let (s, p) = (Fill::Signed, Fill::Positive);
        let op = |epsilon| Self { epsilon };
        vec![
            Sample::new(op(0.125), [support::f(&[2, 2, 5], s)]),
            Sample::new(
                op(0.125),
                [
                    support::f(&[2, 3, 2, 2], s),
                    support::f(&[3], p),
                    support::f(&[3], s),
                ],
            ),
            Sample::with_counts(
                op(0.125),
                [support::f(&[1, 2, 2, 3], s), support::f(&[2], s)],
                &[1, 0, 1],
            ),
            Sample::new(
                op(DEFAULT_EPSILON),
                [support::h(&[3, 2, 4, 9], s), support::h(&[2], p)],
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(2)
    }
}

impl Graph {
    /// Every channel of every image of `x`, [N, C, *D], normalised, times `gamma` plus `beta`, `[C]`.
    ///
    /// # Errors
    /// When `x` is no floating-point image, or `gamma` or `beta` is not one value for every channel.
    pub fn instance_norm(
        &mut self,
        x: Value,
        gamma: Option<Value>,
        beta: Option<Value>,
        epsilon: f64,
    ) -> Result<Value, TypeError> {
        let op = InstanceNorm { epsilon };
        let results = self.push_arguments(op, &[x.into(), gamma.into(), beta.into()])?;
        Ok(results[0])
    }
}

impl InstanceNorm {
    /// The normalisation of an operand of shape `x`, [N, C, *D].
    pub fn over(&self, x: &Shape) -> Normalization {
        let channels = x.dims()[1];
        Normalization {
            axes: (2..x.rank()).collect(),
            affine: Shape::new(&[channels]),
            broadcast: normalize::per_channel(channels, x.rank()),
            epsilon: self.epsilon,
        }
    }
}
