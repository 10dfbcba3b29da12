//! Losses: weighted means over the examples of a batch, as graph builders.

mod cross_entropy;
mod mse;

pub use cross_entropy::cross_entropy;
pub use mse::mse;

use ane_ir::{Graph, TypeError, Value};
use serde::{Deserialize, Serialize};

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Loss {
    /// Softmax cross-entropy with logits; smoothing moves this share of the target to all classes evenly.
    CrossEntropy {
        /// PyTorch's `label_smoothing`.
        label_smoothing: f64,
    },
    /// Mean squared error over the features.
    Mse,
}

impl Loss {
    /// The mean loss [1, 1] over examples: Σ w·l / Σ w, for logits and targets [B, K] and weights w [B, 1].
    ///
    /// # Errors
    /// When the operands do not fit.
    pub fn build(
        &self,
        g: &mut Graph,
        logits: Value,
        target: Value,
        weight: Value,
    ) -> Result<Value, TypeError> {
        let per_example = match self {
            Self::CrossEntropy { .. } => cross_entropy(g, logits, target)?,
            Self::Mse => mse(g, logits, target)?,
        };
        // Dividing the weights instead of the sum keeps every term of the gradient small: no term is scaled twice.
        let total = g.reduce_sum(weight, &[0], true)?;
        let share = g.real_div(weight, total)?;
        let weighted = g.mul(per_example, share)?;
        g.reduce_sum(weighted, &[0], true)
    }

    /// The target row of a class: one-hot, smoothed if the loss says so.
    pub fn target_row(&self, class: usize, classes: usize) -> Vec<f32> {
        let smoothing = match self {
            Self::CrossEntropy { label_smoothing } => *label_smoothing,
            Self::Mse => 0.0,
        };
        let off = smoothing / classes as f64;
        (0..classes)
            .map(|k| if k == class { 1.0 - smoothing + off } else { off } as f32)
            .collect()
    }
}
