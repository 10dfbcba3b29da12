//! One tree of Python exceptions for everything that can go wrong here.

use ane_import::{ImportError, model::TorchModelError};
use ane_train::{TrainerError, checkpoint::CheckpointError};
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

create_exception!(
    ane_trainer,
    RunError,
    AneError,
    "The directory of a run cannot be written or read."
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

/// The exception of an exported model that cannot be taken.
pub(crate) fn of_torch(error: &TorchModelError) -> PyErr {
    match error {
        TorchModelError::Import(e) => of_import(e),
        TorchModelError::Loss { .. } | TorchModelError::Rows { .. } => {
            InputError::new_err(format!("{error}; {}", error.help()))
        }
        _ => UnsupportedError::new_err(format!("{error}; {}", error.help())),
    }
}

/// The exception of a file of a run that cannot be written or read.
pub(crate) fn of_checkpoint(error: &CheckpointError) -> PyErr {
    let source = std::error::Error::source(error).map_or(String::new(), |e| format!(": {e}"));
    let help = error.help().map_or(String::new(), |h| format!("; {h}"));
    RunError::new_err(format!("{error}{source}{help}"))
}

/// The exception of a program that was not compiled or did not run.
pub(crate) fn of_trainer(error: &TrainerError) -> PyErr {
    match error {
        TrainerError::Illegal { .. } | TrainerError::Stage(_) | TrainerError::NotOnEngine(_) => {
            TargetError::new_err(error.to_string())
        }
        TrainerError::Device(ane_device::DeviceError::Length { .. })
        | TrainerError::Port { .. }
        | TrainerError::Batch { .. }
        | TrainerError::Integer { .. } => InputError::new_err(error.to_string()),
        TrainerError::Device(_) => DeviceError::new_err(error.to_string()),
        _ => AneError::new_err(error.to_string()),
    }
}
