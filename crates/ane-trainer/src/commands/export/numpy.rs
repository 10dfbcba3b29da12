//! `numpy`: an array for every parameter and buffer under its path, for `numpy.load`.

use super::{Format, Trained};
use crate::failure::Failure;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Numpy;

impl Format for Numpy {
    fn name(&self) -> &'static str {
        "numpy"
    }

    fn ending(&self) -> &'static str {
        "npz"
    }

    fn write(&self, trained: &Trained<'_>, output: &Path) -> Result<(), Failure> {
        Ok(ane_export::numpy::write(output, &trained.weights)?)
    }
}
