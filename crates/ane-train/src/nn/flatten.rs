//! `nn.Flatten`: all axes but the batch become one.

use super::Layer;
use crate::model::{Builder, ModelError};
use ane_ir::{Shape, Value};

/// x [B, …] → [B, features].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flatten;

impl Layer for Flatten {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x);
        let batch = found.dims().first().copied().unwrap_or(1);
        let flat = Shape::new(&[batch, found.numel() / batch]);
        if *found == flat {
            return Ok(x);
        }
        Ok(cx.graph().reshape(x, &flat)?)
    }
}
