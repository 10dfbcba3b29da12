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

    /// Weight and bias.
    fn affine_parameters(&self, cx: &mut Builder) -> Result<[Option<Value>; 2], ModelError> {
        if !self.affine {
            return Ok([None, None]);
        }
        let (ones, zeros) = (Init::Constant(1.0), Init::Constant(0.0));
        let weight = cx.parameter("weight", [self.features], ones, Tags::NORM)?;
        let bias = cx.parameter("bias", [self.features], zeros, Tags::NORM_BIAS)?;
        Ok([Some(weight), Some(bias)])
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
        let running = RunningStatistics {
            mean: cx.buffer("running_mean", [self.features], Init::Constant(0.0))?,
            variance: cx.buffer("running_var", [self.features], Init::Constant(1.0))?,
            momentum: self.momentum,
            eps: self.eps,
        };
        running.normalise(cx, x, |cx| self.affine_parameters(cx))
    }
}

/// The buffers of a batch normalisation, and how they follow the batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningStatistics {
    /// Position of the buffer `[C]` of means.
    pub mean: usize,
    /// Position of the buffer `[C]` of unbiased variances.
    pub variance: usize,
    /// Share of a batch in them.
    pub momentum: f64,
    /// What is added to a variance.
    pub eps: f64,
}

impl RunningStatistics {
    /// x [B, C, …] normalised: in training by the statistics of the batch, which the running ones then follow, in
    /// inference by the running ones. Then weight `[C]` and bias `[C]`, those that `affine` gives.
    ///
    /// # Errors
    /// When a channel has a single value in training.
    pub fn normalise(
        &self,
        cx: &mut Builder,
        x: Value,
        affine: impl FnOnce(&mut Builder) -> Result<[Option<Value>; 2], ModelError>,
    ) -> Result<Value, ModelError> {
        match cx.mode() {
            Mode::Train => self.by_batch(cx, x, affine),
            Mode::Infer => self.by_running(cx, x, affine),
        }
    }

    /// (x − mean)·scale + bias, with the statistics of the batch.
    fn by_batch(
        &self,
        cx: &mut Builder,
        x: Value,
        affine: impl FnOnce(&mut Builder) -> Result<[Option<Value>; 2], ModelError>,
    ) -> Result<Value, ModelError> {
        let shape = cx.shape(x).clone();
        let count = shape.dims()[2..].iter().product::<usize>();
        if shape.dims()[0] * count < 2 {
            return Err(LayerError::OneValue {
                layer: if shape.rank() == 4 {
                    "BatchNorm2d"
                } else {
                    "BatchNorm1d"
                },
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
            (self.mean, mean, StatisticKind::Mean),
            (self.variance, variance, StatisticKind::Variance),
        ] {
            let value = cx.graph().reshape(value, &Shape::new(&[shape.dims()[1]]))?;
            cx.update(buffer, value, kind, self.momentum, count);
        }
        let mut scale = reciprocal_root(cx.graph(), variance, self.eps)?;
        let [weight, bias] = affine(cx)?;
        let weight = channels(cx, weight, shape.rank())?;
        let bias = channels(cx, bias, shape.rank())?;
        if let Some(weight) = weight {
            scale = cx.graph().mul(scale, weight)?;
        }
        let y = cx.graph().mul(distance, scale)?;
        match bias {
            Some(bias) => Ok(cx.graph().add(y, bias)?),
            None => Ok(y),
        }
    }

    /// x·scale + shift, with the running statistics.
    fn by_running(
        &self,
        cx: &mut Builder,
        x: Value,
        affine: impl FnOnce(&mut Builder) -> Result<[Option<Value>; 2], ModelError>,
    ) -> Result<Value, ModelError> {
        let rank = cx.shape(x).rank();
        let mean = cx.read(self.mean, BufferForm::Plain)?;
        let root = BufferForm::ReciprocalRoot { epsilon: self.eps };
        let root = cx.read(self.variance, root)?;
        let mean = along_channels(cx, mean, rank)?;
        let mut scale = along_channels(cx, root, rank)?;
        let [weight, bias] = affine(cx)?;
        let weight = channels(cx, weight, rank)?;
        let bias = channels(cx, bias, rank)?;
        if let Some(weight) = weight {
            scale = cx.graph().mul(scale, weight)?;
        }
        let bias = match bias {
            Some(bias) => bias,
            None => cx.scalar(0.0)?,
        };
        let moved = cx.graph().mul(mean, scale)?;
        let shift = cx.graph().sub(bias, moved)?;
        let y = cx.graph().mul(x, scale)?;
        Ok(cx.graph().add(y, shift)?)
    }
}

/// A vector along the channels, if there is one.
fn channels(cx: &mut Builder, v: Option<Value>, rank: usize) -> Result<Option<Value>, ModelError> {
    v.map(|v| along_channels(cx, v, rank)).transpose()
}
