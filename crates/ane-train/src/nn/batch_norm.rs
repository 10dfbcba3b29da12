//! `nn.BatchNorm1d` and `nn.BatchNorm2d`: every channel at mean 0 and variance 1 over the batch, then weight and bias.
//!
//! In training the statistics are those of the rows that exist. Means are taken per image first and then over images:
//! a sum over B·H·W elements would leave fp16, and so would the reciprocal of their number. The program returns them,
//! and the host keeps the running ones in fp32. In inference the layer is x·scale + shift, with the running statistics
//! in scale and shift.

use super::{Layer, Rows, along_channels, reciprocal_root};
use crate::model::{BufferForm, Builder, Init, LayerError, Mode, ModelError, StatisticKind, Tags};
use ane_ir::{Shape, Value};

/// Batch normalisation of x [B, features, *D] with `N` spatial axes D.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm<const N: usize> {
    features: usize,
    eps: f64,
    momentum: f64,
    affine: bool,
}

/// `nn.BatchNorm1d`, for x [B, features] or [B, features, L].
pub type BatchNorm1d = BatchNorm<1>;
/// `nn.BatchNorm2d`, for x [B, features, H, W].
pub type BatchNorm2d = BatchNorm<2>;

impl<const N: usize> BatchNorm<N> {
    /// With eps 1e-5, momentum 0.1, a weight and a bias.
    pub fn new(features: usize) -> Self {
        Self {
            features,
            eps: 1e-5,
            momentum: 0.1,
            affine: true,
        }
    }

    /// What is added to the variance.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Share of a batch in the running statistics.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// With or without weight and bias.
    #[must_use]
    pub fn affine(self, affine: bool) -> Self {
        Self { affine, ..self }
    }

    const NAME: &'static str = if N == 1 { "BatchNorm1d" } else { "BatchNorm2d" };

    /// Statistics of the batch that the running ones follow, and x normalised by them.
    fn train(
        &self,
        cx: &mut Builder,
        x: Value,
        [mean_buffer, variance_buffer]: [usize; 2],
    ) -> Result<Value, ModelError> {
        let shape = cx.shape(x).clone();
        let count = shape.dims()[2..].iter().product::<usize>();
        if shape.dims()[0] * count < 2 {
            return Err(LayerError::OneValue {
                layer: Self::NAME,
                found: shape,
            }
            .into());
        }
        let rows = Rows::new(cx, shape.rank())?;
        let mean = rows.mean(cx, x, 1)?;
        let distance = cx.graph().sub(x, mean)?;
        let square = cx.graph().mul(distance, distance)?;
        let variance = rows.mean(cx, square, 1)?;
        for (buffer, value, kind) in [
            (mean_buffer, mean, StatisticKind::Mean),
            (variance_buffer, variance, StatisticKind::Variance),
        ] {
            let value = cx.graph().reshape(value, &Shape::new(&[self.features]))?;
            cx.update(buffer, value, kind, self.momentum, count);
        }
        let root = reciprocal_root(cx.graph(), variance, self.eps)?;
        if !self.affine {
            return Ok(cx.graph().mul(distance, root)?);
        }
        let [weight, bias] = self.affine_parameters(cx, shape.rank())?;
        let scale = cx.graph().mul(root, weight)?;
        let y = cx.graph().mul(distance, scale)?;
        Ok(cx.graph().add(y, bias)?)
    }

    /// x·scale + shift.
    fn infer(
        &self,
        cx: &mut Builder,
        x: Value,
        [mean_buffer, variance_buffer]: [usize; 2],
    ) -> Result<Value, ModelError> {
        let rank = cx.shape(x).rank();
        let mean = cx.read(mean_buffer, BufferForm::Plain)?;
        let root = cx.read(
            variance_buffer,
            BufferForm::ReciprocalRoot { epsilon: self.eps },
        )?;
        let mean = along_channels(cx, mean, rank)?;
        let mut scale = along_channels(cx, root, rank)?;
        let bias = if self.affine {
            let [weight, bias] = self.affine_parameters(cx, rank)?;
            scale = cx.graph().mul(scale, weight)?;
            bias
        } else {
            cx.scalar(0.0)?
        };
        let moved = cx.graph().mul(mean, scale)?;
        let shift = cx.graph().sub(bias, moved)?;
        let y = cx.graph().mul(x, scale)?;
        Ok(cx.graph().add(y, shift)?)
    }

    /// Weight and bias [1, features, 1, …].
    fn affine_parameters(&self, cx: &mut Builder, rank: usize) -> Result<[Value; 2], ModelError> {
        let (ones, zeros) = (Init::Constant(1.0), Init::Constant(0.0));
        let weight = cx.parameter("weight", [self.features], ones, Tags::NORM)?;
        let bias = cx.parameter("bias", [self.features], zeros, Tags::NORM_BIAS)?;
        Ok([
            along_channels(cx, weight, rank)?,
            along_channels(cx, bias, rank)?,
        ])
    }
}

impl<const N: usize> Layer for BatchNorm<N> {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x);
        let one_axis_less = N == 1 && found.rank() == 2;
        if found.rank() != N + 2 && !one_axis_less {
            return Err(LayerError::Rank {
                layer: Self::NAME,
                expected: if N == 1 {
                    "[B, C] or [B, C, L]"
                } else {
                    "[B, C, H, W]"
                },
                found: found.clone(),
            }
            .into());
        }
        if found.dims()[1] != self.features {
            return Err(LayerError::Features {
                layer: Self::NAME,
                what: "channels",
                expected: self.features,
                found: found.clone(),
            }
            .into());
        }
        let buffers = [
            cx.buffer("running_mean", [self.features], 0.0)?,
            cx.buffer("running_var", [self.features], 1.0)?,
        ];
        match cx.mode() {
            Mode::Train => self.train(cx, x, buffers),
            Mode::Infer => self.infer(cx, x, buffers),
        }
    }
}
