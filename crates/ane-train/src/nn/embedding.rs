//! `nn.Embedding`: rows of a table, by index.

use super::Layer;
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::{DType, Value};

/// A table of rows that are looked up: indices [B, …] of int32 → [B, …, width].
///
/// Its gradient is a row per index, added where the row came from. Indices are integers everywhere, as fp16 holds no integers
/// beyond 2,048 exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    rows: usize,
    width: usize,
    init: Init,
}

impl Embedding {
    /// `rows` rows of `width` numbers, drawn from a normal distribution of mean 0 and deviation 1 as PyTorch does.
    pub fn new(rows: usize, width: usize) -> Self {
        Self {
            rows,
            width,
            init: Init::Normal(1.0),
        }
    }

    /// How the table begins.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }

    /// The table [rows, width], as the parameter `weight` of the current scope.
    ///
    /// # Errors
    /// When the scope has a `weight` already.
    pub fn table(&self, cx: &mut Builder) -> Result<Value, ModelError> {
        let shape = [self.rows, self.width];
        cx.parameter("weight", shape, self.init.clone(), Tags::EMBEDDING)
    }
}

/// The rows of a table [rows, width] that indices [B, …] of int32 name: [B, …, width].
///
/// # Errors
/// When `indices` are not of int32.
pub fn look_up(cx: &mut Builder, table: Value, indices: Value) -> Result<Value, ModelError> {
    let found = cx.graph().ty(indices).clone();
    if found.dtype != DType::Int32 {
        return Err(LayerError::Indices {
            layer: "Embedding",
            found,
        }
        .into());
    }
    Ok(cx.graph().gather(table, indices, 0)?)
}

impl Layer for Embedding {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let table = self.table(cx)?;
        look_up(cx, table, x)
    }
}
