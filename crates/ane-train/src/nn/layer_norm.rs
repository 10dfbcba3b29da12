//! `nn.LayerNorm`: the last axes of every example at mean 0 and variance 1, then weight and bias.

use super::Layer;
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::{Shape, Value};

/// Layer normalisation of x [B, …, *normalized].
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    normalized: Shape,
    eps: f64,
    affine: bool,
    bias: bool,
}

impl LayerNorm {
    /// Over the last axes, which are these; with eps 1e-5, a weight and a bias.
    pub fn new(normalized: impl Into<Shape>) -> Self {
        Self {
            normalized: normalized.into(),
            eps: 1e-5,
            affine: true,
            bias: true,
        }
    }

    /// What is added to the variance.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// With or without weight and bias: PyTorch's `elementwise_affine`.
    #[must_use]
    pub fn affine(self, affine: bool) -> Self {
        Self { affine, ..self }
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

impl Layer for LayerNorm {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x);
        let (axes, rank) = (self.normalized.rank(), found.rank());
        // The batch is never among the normalised axes.
        if axes == 0 || axes >= rank || found.dims()[rank - axes..] != *self.normalized.dims() {
            return Err(LayerError::LastAxes {
                layer: "LayerNorm",
                expected: self.normalized.clone(),
                found: found.clone(),
            }
            .into());
        }
        let last: Vec<i32> = (rank - axes..rank).map(super::window::int).collect();
        let affine = |cx: &mut Builder, name, value, tags| {
            cx.parameter(name, self.normalized.clone(), Init::Constant(value), tags)
        };
        let weight = self
            .affine
            .then(|| affine(cx, "weight", 1.0, Tags::NORM))
            .transpose()?;
        let bias = (self.affine && self.bias)
            .then(|| affine(cx, "bias", 0.0, Tags::NORM_BIAS))
            .transpose()?;
        let y = cx.graph().layer_norm(x, weight, bias, &last, self.eps)?;
        Ok(y)
    }
}
