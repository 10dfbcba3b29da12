//! `nn.Linear`: y = x · Wᵀ + b; and `Conv1D` of GPT-2, whose weight is the transpose.

use super::Layer;
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::{Shape, Value};

/// A fully connected layer: x [B, …, inputs] → [B, …, outputs].
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    bias: bool,
    transposed: bool,
    init: Option<Init>,
}

impl Linear {
    /// With bias.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            bias: true,
            transposed: false,
            init: None,
        }
    }

    /// With the weight as [inputs, outputs], as in the `Conv1D` of Hugging Face's GPT-2.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            transposed: true,
            ..self
        }
    }

    /// How the weight begins, and a bias of zeros, instead of PyTorch's.
    #[must_use]
    pub fn init(self, weight: Init) -> Self {
        Self {
            init: Some(weight),
            ..self
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
        let leading = found.clone();
        let (weight, bias) = match &self.init {
            Some(init) => (init.clone(), Init::Constant(0.0)),
            None => (Init::fan_in(self.inputs), Init::fan_in(self.inputs)),
        };
        let shape = match self.transposed {
            true => [self.inputs, self.outputs],
            false => [self.outputs, self.inputs],
        };
        let weight = cx.parameter("weight", shape, weight, Tags::default())?;
        let bias = match self.bias {
            true => Some(cx.parameter("bias", [self.outputs], bias, Tags::BIAS)?),
            false => None,
        };
        let g = cx.graph();
        // One product of all rows: with a batch of its own the weight would have a gradient for every example, each rounded.
        let rows = Shape::new(&[leading.numel() / self.inputs, self.inputs]);
        let flat = if leading.rank() == 2 {
            x
        } else {
            g.reshape(x, &rows)?
        };
        let mut y = g.matmul(flat, weight, false, !self.transposed)?;
        if let Some(bias) = bias {
            y = g.add(y, bias)?;
        }
        if leading.rank() > 2 {
            let axes = leading.dims()[..leading.rank() - 1].iter().copied();
            y = g.reshape(y, &axes.chain([self.outputs]).collect())?;
        }
        Ok(y)
    }
}
