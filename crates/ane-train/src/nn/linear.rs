//! `nn.Linear`: y = x · Wᵀ + b.

use super::Layer;
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::Value;

/// A fully connected layer: x [B, …, inputs] → [B, …, outputs].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    bias: bool,
}

impl Linear {
    /// With bias.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            bias: true,
        }
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

impl Layer for Linear {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x);
        if found.rank() < 2 || found.last() != self.inputs {
            return Err(LayerError::Features {
                layer: "Linear",
                what: "features",
                expected: self.inputs,
                found: found.clone(),
            }
            .into());
        }
        let init = Init::fan_in(self.inputs);
        let weight = cx.parameter(
            "weight",
            [self.outputs, self.inputs],
            init.clone(),
            Tags::default(),
        )?;
        let bias = if self.bias {
            Some(cx.parameter("bias", [self.outputs], init, Tags::BIAS)?)
        } else {
            None
        };
        let y = cx.graph().matmul(x, weight, false, true)?;
        Ok(match bias {
            Some(bias) => cx.graph().add(y, bias)?,
            None => y,
        })
    }
}
