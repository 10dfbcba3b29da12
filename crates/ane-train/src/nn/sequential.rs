//! `nn.Sequential`: layers one after the other, named by their positions.

use super::Layer;
use crate::model::{Builder, ModelError};
use ane_ir::Value;

/// Layers one after the other. A layer's position is its name, as in PyTorch.
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// No layers yet: x as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more layer at the end.
    #[must_use]
    pub fn then(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }
}

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sequential of {} layers", self.layers.len())
    }
}

impl Layer for Sequential {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        self.layers.iter().enumerate().try_fold(x, |x, (i, layer)| {
            cx.scope(&i.to_string(), |cx| layer.forward(cx, x))
        })
    }
}
