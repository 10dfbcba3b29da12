//! Elementwise activations.

use super::Layer;
use crate::model::{Builder, ModelError};
use ane_ir::{Graph, TypeError, Value, ops::gelu::Mode};

/// An activation, with the name of PyTorch's module in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `nn.ReLU`
    Relu,
    /// `nn.GELU(approximate="tanh")`
    Gelu,
    /// `nn.SiLU`
    Silu,
    /// `nn.Tanh`
    Tanh,
    /// `nn.Sigmoid`
    Sigmoid,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Relu,
        Self::Gelu,
        Self::Silu,
        Self::Tanh,
        Self::Sigmoid,
    ];

    /// Name in a model spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// Applies it.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn build(self, g: &mut Graph, x: Value) -> Result<Value, TypeError> {
        match self {
            Self::Relu => g.relu(x),
            Self::Gelu => g.gelu(x, Mode::TanhApproximation),
            Self::Silu => g.silu(x),
            Self::Tanh => g.tanh(x),
            Self::Sigmoid => g.sigmoid(x),
        }
    }
}

impl Layer for Activation {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        Ok(self.build(cx.graph(), x)?)
    }
}
