//! Losses of single examples, as graph builders; [`crate::objective`] makes means of them.

mod bce_with_logits;
mod cross_entropy;
mod huber;
mod l1;
mod mse;
mod next_token;

pub use bce_with_logits::bce_with_logits;
pub use cross_entropy::cross_entropy;
pub use huber::huber;
pub use l1::l1;
pub use mse::mse;
pub use next_token::next_token;

use ane_ir::{Graph, TypeError, Value};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

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
    /// Mean absolute error over the features.
    L1,
    /// Huber loss: squared up to a distance, absolute beyond.
    Huber {
        /// That distance.
        delta: f64,
    },
    /// Binary cross-entropy with logits, of every feature by itself.
    BceWithLogits,
}

/// No loss has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no loss is called `{name}`; there are {}", Loss::ALL.map(|loss| loss.name()).join(", "))]
pub struct UnknownLoss {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Loss {
    type Err = UnknownLoss;

    fn from_str(name: &str) -> Result<Self, UnknownLoss> {
        let found = Self::ALL.into_iter().find(|loss| loss.name() == name);
        found.ok_or_else(|| UnknownLoss {
            name: name.to_owned(),
        })
    }
}

impl Loss {
    /// Every loss, with PyTorch's defaults.
    pub const ALL: [Self; 5] = [
        Self::CrossEntropy {
            label_smoothing: 0.0,
        },
        Self::Mse,
        Self::L1,
        Self::Huber { delta: 1.0 },
        Self::BceWithLogits,
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross-entropy",
            Self::Mse => "mse",
            Self::L1 => "l1",
            Self::Huber { .. } => "huber",
            Self::BceWithLogits => "bce-with-logits",
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
            Self::L1 => l1(g, output, target),
            Self::Huber { delta } => huber(g, output, target, *delta),
            Self::BceWithLogits => bce_with_logits(g, output, target),
        }
    }

    /// The target row of a class: one-hot, smoothed if the loss says so.
    pub fn target_row(&self, class: usize, classes: usize) -> Vec<f32> {
        let smoothing = match self {
            Self::CrossEntropy { label_smoothing } => *label_smoothing,
            Self::Mse | Self::L1 | Self::Huber { .. } | Self::BceWithLogits => 0.0,
        };
        let off = smoothing / classes as f64;
        (0..classes)
            .map(|k| if k == class { 1.0 - smoothing + off } else { off } as f32)
            .collect()
    }
}
