//! What came of steps, and what was counted.

use crate::{loss_scale::LossScale, metric::Tally};
use serde::{Deserialize, Serialize};

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// Mean loss of the examples.
    pub loss: f32,
    /// Examples.
    pub examples: usize,
    /// Of the metrics, in the trainer's order.
    pub tallies: Vec<Tally>,
    /// Whether gradients or state overflowed, so that nothing was changed.
    pub overflow: bool,
    /// Learning rate of the step.
    pub lr: f64,
    /// Loss scale of the step.
    pub loss_scale: f32,
    /// Global norm of the gradients before clipping, where the host computed it.
    pub grad_norm: Option<f64>,
}

/// Counters that a resumed run continues.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken, skipped ones included.
    pub step: u64,
    /// Updates made: Adam's t.
    pub updates: u64,
    /// Steps skipped for overflow.
    pub skipped: u64,
    /// The loss scale.
    pub loss_scale: LossScale,
}

/// What a trainer has had its device do, unlike [`Progress`] not continued by a resumed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// Training steps, repeated ones included.
    pub train_steps: u64,
    /// Steps among them that had been taken before a fault of the device.
    pub repeated_steps: u64,
    /// Batches evaluated.
    pub evaluations: u64,
    /// Faults after which the device was started again.
    pub faults: u64,
}
