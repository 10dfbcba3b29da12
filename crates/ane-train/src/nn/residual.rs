//! Residual blocks: a path of layers, and a shortcut around it that is added.

use super::Layer;
use crate::model::{Builder, LayerError, ModelError};
use ane_ir::Value;

/// y = path(x) + shortcut(x). The path's layers have their names in the block itself; the shortcut's stand under a name of
/// their own.
pub struct Residual<'a> {
    path: Box<dyn Layer + 'a>,
    shortcut: Option<(&'a str, Box<dyn Layer + 'a>)>,
}

impl<'a> Residual<'a> {
    /// Around a path that keeps the shape: the shortcut is x itself.
    pub fn new(path: impl Layer + 'a) -> Self {
        Self {
            path: Box::new(path),
            shortcut: None,
        }
    }

    /// With layers on the shortcut, for a path that changes the shape. The name in torchvision is `downsample`.
    #[must_use]
    pub fn shortcut(self, name: &'a str, shortcut: impl Layer + 'a) -> Self {
        Self {
            shortcut: Some((name, Box::new(shortcut))),
            ..self
        }
    }
}

impl Layer for Residual<'_> {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let y = self.path.forward(cx, x)?;
        let shortcut = match &self.shortcut {
            Some((name, layer)) => cx.scope(name, |cx| layer.forward(cx, x))?,
            None => x,
        };
        if cx.shape(y) != cx.shape(shortcut) {
            return Err(LayerError::Residual {
                path: cx.shape(y).clone(),
                shortcut: cx.shape(shortcut).clone(),
            }
            .into());
        }
        Ok(cx.graph().add(y, shortcut)?)
    }
}
