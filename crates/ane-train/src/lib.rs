//! Learning: models, losses, optimizers, data, checkpoints and the loop.
//!
//! A model is a function that applies layers to its inputs. [`model::Model::build`] runs it for training and for
//! inference; layers have PyTorch's names, defaults and initial values:
//!
//! ```
//! use ane_train::{
//!     model::{Input, Model, ModelError},
//!     nn::{Activation::Relu, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Residual},
//! };
//!
//! # fn main() -> Result<(), ModelError> {
//! let model = Model::build("own", 64, &[Input::fp16("x", [1, 28, 28])], |cx, x| {
//!     let x = cx.layer("conv1", Conv2d::new(1, 16, 3).padding(1), x[0])?;
//!     let x = cx.layer("bn1", BatchNorm2d::new(16), x)?;
//!     let x = cx.layer("relu1", Relu, x)?;
//!     let x = cx.layer("block", Residual::new(Conv2d::new(16, 16, 3).padding(1)), x)?;
//!     let x = cx.layer("pool", MaxPool2d::new(2), x)?;
//!     let x = cx.layer("flatten", Flatten, x)?;
//!     Ok([("logits", cx.layer("fc", Linear::new(16 * 14 * 14, 10), x)?)])
//! })?;
//! assert_eq!(model.parameters[0].path, "conv1.weight");
//! # Ok(())
//! # }
//! ```
//!
//! With an [`objective::Objective`] and an optimizer it is a [`TrainerConfig`], from which a [`Trainer`] makes its
//! programs; `examples/own_model.rs` trains one. [`models`] are those that have names.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod call;
pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod fidelity;
pub mod fit;
pub mod forensics;
pub mod judgement;
pub mod loss;
pub mod loss_scale;
pub mod lowering;
pub mod machine;
pub mod memory;
pub mod metric;
pub mod model;
pub mod models;
pub mod nn;
pub mod objective;
pub mod optim;
pub mod placement;
pub mod profile;
mod program;
pub mod recovery;
pub mod run_dir;
pub mod sampling;
pub mod schedule;
pub mod selftest;
pub mod stage;
pub mod step;
pub mod store;
pub mod summary;
pub mod tensorboard;
mod trainer;
pub mod update;
mod work;

pub use error::TrainerError;
pub use program::legalize;
pub use trainer::{
    BatchNumbers, Decoding, DecodingError, Done, Evaluated, Probed, Progress, StepOutcome, Trainer,
    TrainerConfig, decoding_inputs,
};
