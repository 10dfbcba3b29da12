//! `onnx`: the model with its weights, for ONNX Runtime and whoever else executes ONNX.

use super::{Format, Trained};
use crate::failure::Failure;
use ane_export::onnx::{Options, write};
use std::path::Path;

#[derive(Debug)]
pub(super) struct Onnx;

impl Format for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn choices(&self) -> &'static [&'static str] {
        &["--with-preprocessing"]
    }

    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure> {
        let options = Options {
            with_preprocessing: trained.choices.with_preprocessing,
        };
        Ok(write(output, &trained.network(), options)?)
    }
}
