//! `nn.GroupNorm`: groups of channels of every example at mean 0 and variance 1, then weight and bias per channel.

use super::{Layer, along_channels, groups};
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::{Shape, Value};

/// Group normalisation of x [B, channels, …].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm {
    groups: usize,
    channels: usize,
    eps: f64,
    affine: bool,
}

const NAME: &str = "GroupNorm";

impl GroupNorm {
    /// With eps 1e-5, a weight and a bias.
    pub fn new(groups: usize, channels: usize) -> Self {
        Self {
            groups,
            channels,
            eps: 1e-5,
            affine: true,
        }
    }

    /// What is added to the variance.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// With or without weight and bias.
    #[must_use]
    pub fn affine(self, affine: bool) -> Self {
        Self { affine, ..self }
    }
}

impl Layer for GroupNorm {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x).clone();
        if found.rank() < 2 || found.dims()[1] != self.channels {
            return Err(LayerError::Features {
                layer: NAME,
                what: "channels",
                expected: self.channels,
                found,
            }
            .into());
        }
        groups(NAME, self.groups, self.channels, self.channels)?;
        let batch = found.dims()[0];
        let group = found.numel() / batch / self.groups;
        if group < 2 {
            return Err(LayerError::OneValue { layer: NAME, found }.into());
        }
        let grouped = Shape::new(&[batch, self.groups, group]);
        let rows = cx.graph().reshape(x, &grouped)?;
        let rows = cx.graph().layer_norm(rows, None, None, &[2], self.eps)?;
        let mut y = cx.graph().reshape(rows, &found)?;
        if self.affine {
            let (ones, zeros) = (Init::Constant(1.0), Init::Constant(0.0));
            let weight = cx.parameter("weight", [self.channels], ones, Tags::NORM)?;
            let bias = cx.parameter("bias", [self.channels], zeros, Tags::NORM_BIAS)?;
            let weight = along_channels(cx, weight, found.rank())?;
            let bias = along_channels(cx, bias, found.rank())?;
            y = cx.graph().mul(y, weight)?;
            y = cx.graph().add(y, bias)?;
        }
        Ok(y)
    }
}
