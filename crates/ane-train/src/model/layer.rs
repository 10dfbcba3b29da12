//! What a builder applies: a layer.

use super::{Builder, ModelError};
use ane_ir::Value;

/// Something that makes a value of a value, with parameters of its own or without.
///
/// A function `|cx, x| …` is a layer as well.
pub trait Layer {
    /// Applies the layer to `x` in the current scope of `cx`.
    ///
    /// # Errors
    /// When `x` does not fit the layer.
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError>;
}

impl<F: Fn(&mut Builder, Value) -> Result<Value, ModelError>> Layer for F {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        self(cx, x)
    }
}
