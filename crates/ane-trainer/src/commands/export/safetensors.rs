//! `safetensors`: the whole `state_dict` by PyTorch's names, for `load_state_dict(load_file(…), strict=True)`. Models of
//! Keras have Keras's names, each after its index in `model.weights`.

use super::{Format, Trained};
use crate::failure::Failure;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure> {
        trained.write_safetensors(output)
    }
}
