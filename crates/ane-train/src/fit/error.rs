//! Why a run ends before its last step.

use crate::{checkpoint::CheckpointError, error::TrainerError};
use std::path::PathBuf;

/// The loop failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The trainer or its device failed.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A checkpoint or a metrics file could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loader's thread could not be started.
    #[error("cannot start the loader's thread")]
    Loader(#[source] std::io::Error),
    /// The device failed again and again.
    #[error("gave up at step {step}; `{}` holds the run up to step {saved}", checkpoint.display())]
    GaveUp {
        /// The step that could not be passed.
        step: u64,
        /// Step of the last good checkpoint.
        saved: u64,
        /// The checkpoint.
        checkpoint: PathBuf,
        /// How often the device failed, and with what.
        source: Box<TrainerError>,
    },
    /// Gradients overflow at every loss scale.
    #[error(
        "training diverged at step {step}: the loss is {loss}, and gradients overflow even at loss scale 1"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f32,
    },
    /// The loss stays infinite or no number, though the gradients are accepted.
    #[error(
        "training diverged at step {step}: the loss is {loss}, and was not finite in {steps} accepted steps in a row"
    )]
    LossNotFinite {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f32,
        /// How many steps.
        steps: u32,
    },
    /// The state can be trained no further, and replaces no checkpoint.
    #[error(
        "training diverged at step {step}: `{tensor}` holds numbers that are not finite or that fp16 cannot hold"
    )]
    NonFiniteState {
        /// The step.
        step: u64,
        /// The first tensor of the state.
        tensor: String,
    },
    /// The state gives no finite loss, and replaces no checkpoint.
    #[error("training diverged at step {step}: the loss of what it has learned is {loss}")]
    NoFiniteLoss {
        /// The step.
        step: u64,
        /// The loss, of the validation examples or of a batch.
        loss: f64,
    },
    /// The loader's thread ended before its batches did: our bug.
    #[error("the loader stopped after {batches} of {expected} batches")]
    LoaderStopped {
        /// Batches it delivered.
        batches: usize,
        /// Batches there are.
        expected: usize,
    },
}
