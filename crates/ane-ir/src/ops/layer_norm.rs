//! `layer_norm`: elements normalised over axes.
//!
//! ```text
//! # Definition   (x − mean) / √(variance + epsilon) · gamma + beta, mean and biased variance over the axes
//! # Operands     x: [*D] fp16 | fp32; gamma, beta: the lengths of x on the axes, optional, dtype of x
//! # Result       [*D], dtype of x
//! # Attributes   axes (all); epsilon (1e-5)
//! # Gradient     of x: d · (c − mean(c) − x̂ · mean(c · x̂)) with c = ct · gamma, x̂ = (x − mean) · d,
//! #              d = 1 / √(variance + epsilon); of gamma: Σ ct · x̂; of beta: Σ ct
//! # Sources      coremltools iOS15 normalization; Ba et al. 2016, https://arxiv.org/abs/1607.06450; PyTorch layer_norm
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{
        self,
        normalize::{self, DEFAULT_EPSILON, Normalization},
        reduce,
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
    /// Elements normalised over axes.
    LayerNorm {
        /// Axes over which mean and variance are taken; all when left out.
        axes: Option<Vec<i32>>,
        /// Added to the variance.
        epsilon: f64 = DEFAULT_EPSILON,
    }
}

impl OpDef for LayerNorm {
    const NAME: &'static str = "layer_norm";
    const OPERANDS: &'static [Operand] = normalize::OPERANDS;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        self.over(&xs[0].shape)?.check(Self::NAME, xs)?;
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        self.over(&xs[0].ty.shape)
            .expect("the node was typed when it was made")
            .eval(xs, numerics)
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        self.over(&cx.g.ty(cx.xs[0]).shape)?.vjp(cx, cts)
    }

    fn samples() -> Vec<Sample<Self>> {
        let (s, p) = (Fill::Signed, Fill::Positive);
        let op = |axes: Option<Vec<i32>>, epsilon| Self { axes, epsilon };
        vec![
            Sample::new(op(Some(vec![-1]), 0.125), [support::f(&[2, 5], s)]),
            Sample::new(
                op(Some(vec![2, 1]), 0.125),
                [
                    support::f(&[2, 3, 2], s),
                    support::f(&[3, 2], p),
                    support::f(&[3, 2], s),
                ],
            ),
            Sample::with_counts(
                op(Some(vec![0]), 0.125),
                [support::f(&[4, 3], s), support::f(&[4], s)],
                &[1, 0, 1],
            ),
            Sample::new(
                op(None, 0.125),
                [support::f(&[2, 3], s), support::f(&[2, 3], p)],
            ),
            Sample::new(
                op(Some(vec![-1]), DEFAULT_EPSILON),
                [
                    support::h(&[3, 2, 60], s),
                    support::h(&[60], p),
                    support::h(&[60], s),
                ],
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(2)
    }
}

impl Graph {
    /// `x` normalised over `axes`, times `gamma` plus `beta`.
    ///
    /// # Errors
    /// When `x` is not floating point, an axis does not exist, or `gamma` or `beta` does not have the lengths of the axes.
    pub fn layer_norm(
        &mut self,
        x: Value,
        gamma: Option<Value>,
        beta: Option<Value>,
        axes: &[i32],
        epsilon: f64,
    ) -> Result<Value, TypeError> {
        let axes = Some(axes.to_vec());
        let op = LayerNorm { axes, epsilon };
        let results = self.push_arguments(op, &[x.into(), gamma.into(), beta.into()])?;
        Ok(results[0])
    }
}

impl LayerNorm {
    /// The normalisation of an operand of shape `x`.
    ///
    /// # Errors
    /// When an axis does not exist.
    pub fn over(&self, x: &Shape) -> Result<Normalization, TypeError> {
        let axes = match &self.axes {
            Some(axes) => reduce::axes(Self::NAME, axes, x)?,
            None => reduce::axes(Self::NAME, &support::window::ints(0..x.rank()), x)?,
        };
        let lengths = x.dims().iter().enumerate();
        Ok(Normalization {
            affine: axes.iter().map(|&a| x.dims()[a]).collect(),
            broadcast: lengths
                .map(|(i, &d)| if axes.contains(&i) { d } else { 1 })
                .collect(),
            axes,
            epsilon: self.epsilon,
        })
    }
}
