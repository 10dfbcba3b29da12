//! Concatenating blocks: paths side by side, whose channels are put one after the other.

use super::Layer;
use crate::model::{Builder, LayerError, ModelError};
use ane_ir::Value;

/// The channels of several paths of the same x, one path after the other: [B, ΣC, …].
#[derive(Default)]
pub struct Concat<'a> {
    paths: Vec<(&'a str, Box<dyn Layer + 'a>)>,
}

impl<'a> Concat<'a> {
    /// No paths yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more path, under this name.
    #[must_use]
    pub fn path(mut self, name: &'a str, path: impl Layer + 'a) -> Self {
        self.paths.push((name, Box::new(path)));
        self
    }
}

impl Layer for Concat<'_> {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let ys = self
            .paths
            .iter()
            .map(|(name, path)| cx.scope(name, |cx| path.forward(cx, x)))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(&first) = ys.first() else {
            return Err(LayerError::NoPaths { layer: "Concat" }.into());
        };
        for (&y, (name, _)) in ys.iter().zip(&self.paths) {
            let (a, b) = (cx.shape(first), cx.shape(y));
            let alike = |axis: usize| axis == 1 || a.dims()[axis] == b.dims()[axis];
            if a.rank() < 2 || a.rank() != b.rank() || !(0..a.rank()).all(alike) {
                return Err(LayerError::Concat {
                    first: a.clone(),
                    path: (*name).to_owned(),
                    found: b.clone(),
                }
                .into());
            }
        }
        if let [only] = ys[..] {
            return Ok(only);
        }
        Ok(cx.graph().concat(&ys, 1)?)
    }
}
