//! One tree of Python exceptions for everything that can go wrong here.

use ane_import::ImportError;
use ane_train::TrainerError;
use pyo3::{PyErr, create_exception, exceptions::PyException};

create_exception!(
    ane_trainer,
    AneError,
    PyException,
    "Something that ane_trainer cannot do, or that failed."
);
create_exception!(
    ane_trainer,
    UnsupportedError,
    AneError,
    "A model has something that no program of the engine can do."
);
create_exception!(
    ane_trainer,
    TargetError,
    AneError,
    "The target forbids a program."
);
create_exception!(
    ane_trainer,
    DeviceError,
    AneError,
    "A device cannot be opened, or failed."
);
create_exception!(
    ane_trainer,
    InputError,
    AneError,
    "A tensor is not what a program takes."
);

/// The exception of an import that failed.
pub(crate) fn of_import(error: &ImportError) -> PyErr {
    match error {
        ImportError::Op { .. }
        | ImportError::Unsupported { .. }
        | ImportError::Output { .. }
        | ImportError::Vjp(_) => UnsupportedError::new_err(error.to_string()),
        _ => AneError::new_err(error.to_string()),
    }
}

/// The exception of a program that was not compiled or did not run.
pub(crate) fn of_trainer(error: &TrainerError) -> PyErr {
    match error {
        TrainerError::Illegal { .. } | TrainerError::Stage(_) | TrainerError::NotOnEngine(_) => {
            TargetError::new_err(error.to_string())
        }
        TrainerError::Device(ane_device::DeviceError::Length { .. })
        | TrainerError::Port { .. }
        | TrainerError::Integer { .. } => InputError::new_err(error.to_string()),
        TrainerError::Device(_) => DeviceError::new_err(error.to_string()),
        _ => AneError::new_err(error.to_string()),
    }
}
