//! The native module of the Python package `ane_trainer`.
//!
//! Arrays cross as NumPy arrays of float32, int64 and bool that are contiguous; whoever calls makes them so. The engine
//! runs without Python's lock.

mod arrays;
mod callable;
mod cli;
mod cotangent_scale;
mod errors;
mod model;
mod run;
mod session;
mod trainer;

use pyo3::prelude::*;

/// What the package is built on; nothing in it is for users.
#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::callable::{Call, Callable};
    #[pymodule_export]
    use crate::cli::cli;
    #[pymodule_export]
    use crate::errors::{
        AneError, DeviceError, InputError, RunError, TargetError, UnsupportedError,
    };
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::run::Run;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::trainer::Trainer;
}
