//! Learning: models, losses, optimizers, data, checkpoints and the loop.

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod fit;
pub mod loss;
pub mod loss_scale;
pub mod machine;
pub mod metric;
pub mod model;
pub mod nn;
pub mod objective;
pub mod optim;
pub mod placement;
mod program;
pub mod recovery;
pub mod run_dir;
pub mod schedule;
pub mod selftest;
pub mod step;
pub mod store;
mod trainer;
pub mod update;

pub use error::TrainerError;
pub use program::legalize;
pub use trainer::{Done, Evaluated, Progress, StepOutcome, Trainer, TrainerConfig};
