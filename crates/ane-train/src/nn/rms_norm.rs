//! `nn.RMSNorm`: the last axis at a mean square of 1, then a weight.

use super::{Layer, reciprocal_root};
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::Value;

/// x / √(mean(x²) + eps) · weight over the last axis of x [B, …, width]: Zhang and Sennrich, 2019.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsNorm {
    width: usize,
    eps: f64,
}

impl RmsNorm {
    /// Over a last axis of this length, with eps 1e-5, as Llama has it.
    pub fn new(width: usize) -> Self {
        Self { width, eps: 1e-5 }
    }

    /// What is added to the mean square.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }
}

impl Layer for RmsNorm {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x);
        if found.rank() < 2 || found.last() != self.width {
            return Err(LayerError::Features {
                layer: "RMSNorm",
                what: "features",
                expected: self.width,
                found: found.clone(),
            }
            .into());
        }
        let weight = cx.parameter("weight", [self.width], Init::Constant(1.0), Tags::NORM)?;
        let g = cx.graph();
        let square = g.square(x)?;
        let mean = g.reduce_mean(square, &[-1], true)?;
        let scale = reciprocal_root(g, mean, self.eps)?;
        let normalised = g.mul(x, scale)?;
        Ok(g.mul(normalised, weight)?)
    }
}
