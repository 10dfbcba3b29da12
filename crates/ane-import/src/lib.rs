//! Models of others: PyTorch's ATen graphs and Keras's configurations as models and programs of ours.
//!
//! [`aten`] is a graph as PyTorch traces it, [`lower`] makes ops of ours of it, by one table. [`program`] is for graphs
//! that are complete in themselves, such as the forward and the backward graph that AOTAutograd makes: they are imported,
//! and not derived again. [`pt2`] reads exported programs, and [`model`] makes models of them. [`keras`] makes models of Keras's configurations.
//! [`export`] is the program that takes either out of the user's Python.

#![forbid(unsafe_code)]

pub mod aten;
mod error;
pub mod export;
pub mod keras;
pub mod lower;
pub mod model;
pub mod program;
pub mod pt2;

pub use error::ImportError;
