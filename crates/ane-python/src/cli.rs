//! The program `ane-trainer` in a Python's process.

use ane_trainer::Program;
use pyo3::prelude::*;
use std::{ffi::OsString, path::PathBuf};

/// Runs the program without Python's lock and gives its exit code. `interpreter` with the arguments `leading` is what
/// starts the program again.
#[pyfunction]
pub(crate) fn cli(
    py: Python<'_>,
    interpreter: PathBuf,
    leading: Vec<OsString>,
    arguments: Vec<OsString>,
) -> u8 {
    let program = Program::Interpreted {
        interpreter,
        leading,
    };
    py.detach(|| ane_trainer::run(program, arguments))
}
