//! The end of a language model: what the scores of all tokens are made of, before they are.

use ane_ir::{Graph, Shape, TypeError, Value};

/// A head over a vocabulary: scores = hidden · weightᵀ.
///
/// Scores of every token at every position are the largest tensor of a step by far, so a loss takes the factors and computes
/// no more of the product at a time than it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// [B, T, width].
    pub hidden: Value,
    /// A row per token [vocabulary, width].
    pub weight: Value,
}

impl Head {
    /// Tokens that are scored.
    pub fn vocabulary(&self, g: &Graph) -> usize {
        g.ty(self.weight).shape.dims()[0]
    }

    /// Positions of an example.
    pub fn positions(&self, g: &Graph) -> usize {
        g.ty(self.hidden).shape.dims()[1]
    }

    /// hidden with all positions of all examples as rows: [B · T, width].
    ///
    /// # Errors
    /// When hidden has no elements.
    pub fn rows(&self, g: &mut Graph) -> Result<Value, TypeError> {
        let shape = &g.ty(self.hidden).shape;
        let rows = Shape::new(&[shape.numel() / shape.last(), shape.last()]);
        g.reshape(self.hidden, &rows)
    }

    /// All scores [B, T, vocabulary].
    ///
    /// # Errors
    /// When hidden and weight do not fit.
    pub fn logits(&self, g: &mut Graph) -> Result<Value, TypeError> {
        let dims = g.ty(self.hidden).shape.dims();
        let (batch, positions) = (dims[0], dims[1]);
        let rows = self.rows(g)?;
        let logits = g.matmul(rows, self.weight, false, true)?;
        let vocabulary = self.vocabulary(g);
        g.reshape(logits, &Shape::new(&[batch, positions, vocabulary]))
    }
}
