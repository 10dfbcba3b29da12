//! Learning: models, losses, optimizers, data, checkpoints and the loop.

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod fit;
pub mod loss;
pub mod loss_scale;
pub mod machine;
pub mod model;
pub mod nn;
pub mod optim;
pub mod placement;
pub mod recovery;
pub mod run_dir;
pub mod schedule;
pub mod selftest;
pub mod step;
mod trainer;

pub use trainer::{
    Done, NamedWeight, Progress, State, StateTensor, StepOutcome, Trainer, TrainerConfig,
    TrainerError, argmax, legalize,
};
