//! `nn.Dropout`: in training, elements become 0 by chance and the others are scaled up.

use super::Layer;
use crate::model::{Builder, LayerError, Mode, ModelError};
use ane_ir::Value;

/// Dropout of single elements, of x of any shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// With this probability of an element to become 0; PyTorch's default is 0.5.
    pub fn new(p: f64) -> Self {
        Self { p }
    }
}

impl Layer for Dropout {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        if !(0.0..1.0).contains(&self.p) {
            return Err(LayerError::Probability {
                layer: "Dropout",
                found: self.p,
            }
            .into());
        }
        if cx.mode() == Mode::Infer || self.p == 0.0 {
            return Ok(x);
        }
        let shape = cx.shape(x).clone();
        let mask = cx.keep_mask(shape, 1.0 - self.p)?;
        Ok(cx.graph().mul(x, mask)?)
    }
}
