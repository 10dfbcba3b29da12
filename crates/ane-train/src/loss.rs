//! Losses of single examples, as graph builders; [`crate::objective`] makes means of them.

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
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross-entropy",
            Self::Mse => "mse",
        }
    }

    /// The loss [B, 1] of every example, for outputs and targets [B, K].
    ///
    /// # Errors
    /// When the operands do not fit.
    pub fn per_example(
        &self,
        g: &mut Graph,
        output: Value,
        target: Value,
    ) -> Result<Value, TypeError> {
        match self {
            Self::CrossEntropy { .. } => cross_entropy(g, output, target),
            Self::Mse => mse(g, output, target),
        }
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
