//! The native module of the Python package `ane_trainer`.

use pyo3::prelude::*;

/// What the package is built on; nothing in it is for users.
#[pymodule(gil_used = true)]
mod _native {}
