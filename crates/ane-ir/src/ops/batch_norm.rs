//! `batch_norm`: every channel shifted and scaled by a mean and a variance that are given.
//!
//! ```text
//! # Definition   (x − mean[c]) / √(variance[c] + epsilon) · gamma[c] + beta[c]
//! # Operands     x: [N, C, *D] fp16 | fp32, one to three spatial axes; mean, variance: [C]; gamma, beta: [C], optional;
//! #              one dtype, none of them constant
//! # Result       [N, C, *D], dtype of x
//! # Attributes   epsilon (1e-5)
//! # Gradient     with d = 1 / √(variance + epsilon) and c = ct · gamma · d: c of x; −Σ c of mean;
//! #              −½ · d² · Σ c · (x − mean) of variance; Σ ct · (x − mean) · d of gamma; Σ ct of beta
//! # Sources      coremltools iOS15 normalization; Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
//! ```
//!
//! This is the form of inference. Statistics of the batch are `reduce_mean` and simpler ops.

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{
        self, elementwise,
        normalize::{self, DEFAULT_EPSILON},
        view, window,
    },
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Function, Real, Tensor},
    types::TensorType,
};
use smallvec::smallvec;

attributes! {
    /// Every channel shifted and scaled by a mean and a variance that are given.
    BatchNorm {
        /// Added to the variance.
        epsilon: f64 = DEFAULT_EPSILON,
    }
}

impl OpDef for BatchNorm {
    const NAME: &'static str = "batch_norm";
    const OPERANDS: &'static [Operand] = &[
        Operand::required("x"),
        Operand::required("mean"),
        Operand::required("variance"),
        Operand::optional("gamma"),
        Operand::optional("beta"),
    ];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        window::spatial(Self::NAME, "x", xs[0])?;
        let expected = TensorType::new(xs[0].dtype, [xs[0].shape.dims()[1]]);
        for name in ["mean", "variance", "gamma", "beta"] {
            if let Some(found) = xs.optional(name).filter(|ty| **ty != expected) {
                return Err(support::operand_type(
                    Self::NAME,
                    name,
                    &expected.to_string(),
                    found,
                ));
            }
        }
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let (x, mean, variance) = (xs[0], xs[1], xs[2]);
        let epsilon = numerics.store(x.ty.dtype, T::from_f64(self.epsilon));
        let deviations: Vec<T> = variance
            .data
            .iter()
            .map(|v| v.add(epsilon).map(Function::Sqrt))
            .collect();
        let broadcast = normalize::per_channel(mean.data.len(), x.ty.shape.rank());
        let mut data = Vec::with_capacity(x.data.len());
        elementwise::walk(&x.ty.shape, [&x.ty.shape, &broadcast], |[i, c]| {
            data.push(x.data[i].sub(mean.data[c]).div(deviations[c]));
        });
        normalize::affine(&mut data, &x.ty.shape, &broadcast, xs);
        vec![Tensor {
            ty: x.ty.clone(),
            data,
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; cx.xs.len()]);
        };
        let (x, mean, variance) = (cx.xs[0], cx.xs[1], cx.xs[2]);
        let (gamma, beta) = (cx.xs.optional("gamma"), cx.xs.optional("beta"));
        let channels = cx.g.ty(mean).shape.clone();
        let broadcast = normalize::per_channel(channels.numel(), cx.g.ty(x).shape.rank());
        let g = &mut *cx.g;
        let sum = |g: &mut Graph, v| {
            let sum = elementwise::unbroadcast(g, v, &broadcast)?;
            view(g, sum, &channels)
        };
        let scale = g.rsqrt(variance, self.epsilon)?;
        let slope = match gamma {
            Some(gamma) => g.mul(gamma, scale)?,
            None => scale,
        };
        let slope_per_channel = view(g, slope, &broadcast)?;
        let dx = g.mul(ct, slope_per_channel)?;
        let ct_sum = sum(g, ct)?;
        let minus_one = g.scalar(g.ty(ct).dtype, -1.0)?;
        let shift = g.mul(ct_sum, slope)?;
        let dmean = g.mul(shift, minus_one)?;
        let mean_per_channel = view(g, mean, &broadcast)?;
        let centered = g.sub(x, mean_per_channel)?;
        let along = g.mul(ct, centered)?;
        let along = sum(g, along)?;
        let normal = g.mul(along, scale)?;
        let minus_half = g.scalar(g.ty(ct).dtype, -0.5)?;
        let halved = g.mul(normal, minus_half)?;
        let halved = g.mul(halved, scale)?;
        let dvariance = g.mul(halved, slope)?;
        let mut grads: Vec<Cotangent> = vec![dx.into(), dmean.into(), dvariance.into()];
        grads.extend(gamma.map(|_| Cotangent::from(normal)));
        grads.extend(beta.map(|_| Cotangent::from(ct_sum)));
        Ok(grads)
    }

    fn samples() -> Vec<Sample<Self>> {
        let (s, p) = (Fill::Signed, Fill::Positive);
        let op = |epsilon| Self { epsilon };
        let f = |x: &[usize]| {
            let channel = &x[1..2];
            [
                support::f(x, s),
                support::f(channel, s),
                support::f(channel, p),
            ]
            .to_vec()
        };
        let with = |mut xs: Vec<_>, more: &[(TensorType, Fill)]| {
            xs.extend_from_slice(more);
            xs
        };
        vec![
            Sample::new(op(0.125), f(&[2, 2, 3])),
            Sample::new(
                op(0.125),
                with(
                    f(&[2, 3, 2, 2]),
                    &[support::f(&[3], p), support::f(&[3], s)],
                ),
            ),
            Sample::with_counts(
                op(0.125),
                with(f(&[1, 2, 2, 3]), &[support::f(&[2], s)]),
                &[1, 1, 1, 0, 1],
            ),
            Sample::new(
                op(DEFAULT_EPSILON),
                vec![
                    support::h(&[3, 7, 4, 9], s),
                    support::h(&[7], s),
                    support::h(&[7], p),
                    support::h(&[7], p),
                    support::h(&[7], s),
                ],
            ),
        ]
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let (x, mean, variance) = (xs[0], xs[1], xs[2]);
        let broadcast = normalize::per_channel(g.ty(mean).shape.numel(), g.ty(x).shape.rank());
        let scale = g.rsqrt(variance, self.epsilon)?;
        let scale = match xs.optional("gamma") {
            Some(gamma) => g.mul(gamma, scale)?,
            None => scale,
        };
        let mean = view(g, mean, &broadcast)?;
        let scale = view(g, scale, &broadcast)?;
        let centered = g.sub(x, mean)?;
        let mut y = g.mul(centered, scale)?;
        if let Some(beta) = xs.optional("beta") {
            let beta = view(g, beta, &broadcast)?;
            y = g.add(y, beta)?;
        }
        Ok(Some(smallvec![y]))
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(2)
    }
}

impl Graph {
    /// Every channel of `x`, [N, C, *D], normalised by `mean` and `variance`, times `gamma` plus `beta`, each `[C]`.
    ///
    /// # Errors
    /// When `x` is no floating-point image, or another operand is not one value for every channel.
    pub fn batch_norm(
        &mut self,
        x: Value,
        [mean, variance]: [Value; 2],
        gamma: Option<Value>,
        beta: Option<Value>,
        epsilon: f64,
    ) -> Result<Value, TypeError> {
        let arguments = [
            x.into(),
            mean.into(),
            variance.into(),
            gamma.into(),
            beta.into(),
        ];
        let results = self.push_arguments(BatchNorm { epsilon }, &arguments)?;
        Ok(results[0])
    }
}
