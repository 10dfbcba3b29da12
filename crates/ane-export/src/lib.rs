//! Trained models as files of other programs.
//!
//! What a run has learned is a [`Trained`]: a model, its fp32 weights and what its examples are. [`Network`] is its
//! forward pass, from which [`onnx`] makes a model that any runtime of ONNX executes and [`coreml`] a package that
//! Apple's systems load; [`numpy`] has the weights alone. Each writes a file under another name, reads it again, compares,
//! and only then puts it in its place, so that a name never stands for half a file.
//!
//! What this crate deliberately does not: train, run anything, or change what the model computes.

#![forbid(unsafe_code)]

pub mod coreml;
mod error;
mod file;
mod network;
pub mod numpy;
pub mod onnx;
mod preprocessing;

pub use error::ExportError;
pub use network::{Baked, Network, Trained, Weight};
pub use preprocessing::{OwnUnits, Preprocessing};
