//! What can go wrong on a device.

use crate::{apple::AppleError, supervised::SupervisedError};
use ane_engine::{BindError, PlanError};
use ane_ir::TensorType;
use std::path::PathBuf;

/// A device refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The caller named a device that does not exist.
    #[error("no device is called `{name}`; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The caller bound a port that the program does not have.
    #[error("the program has no port `{port}`; it has {}", ports.join(", "))]
    NoSuchPort {
        /// What was bound.
        port: String,
        /// Ports of the program.
        ports: Vec<String>,
    },
    /// The caller left a port unbound, or bound it twice.
    #[error("port `{port}` is bound {times} times; bind every port once")]
    PortBinding {
        /// The port.
        port: String,
        /// How often it was bound.
        times: usize,
    },
    /// The caller bound a buffer of another type.
    #[error("port `{port}` is {expected}, its buffer holds {found}")]
    PortType {
        /// The port.
        port: String,
        /// Its type.
        expected: TensorType,
        /// The buffer's type.
        found: TensorType,
    },
    /// The caller bound a buffer that another device allocated.
    #[error(
        "the buffer of port `{port}` belongs to another device; allocate it on this `{device}`"
    )]
    ForeignBuffer {
        /// The port.
        port: String,
        /// The device.
        device: &'static str,
    },
    /// The caller copied the wrong number of elements.
    #[error("the buffer holds {expected} elements ({ty}), {found} were given")]
    Length {
        /// Type of the buffer.
        ty: TensorType,
        /// Its elements.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// The caller compiled a graph that was checked for another target.
    #[error("the graph was checked for {found}, the device is {expected}")]
    Target {
        /// The device's target.
        expected: String,
        /// The graph's target.
        found: String,
    },
    /// The operation does not exist on this device.
    #[error("`{device}` does not support {what}")]
    Unsupported {
        /// The device.
        device: &'static str,
        /// What was asked.
        what: &'static str,
    },
    /// The engine cannot compile the graph.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine cannot bind the buffers.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The worker of a supervised device is gone, late, or says that its device failed.
    #[error(transparent)]
    Supervised(#[from] SupervisedError),
    /// Another training has the engine.
    #[error(
        "another training{} uses this machine's engine: it holds the lock `{}`",
        holder.map_or(String::new(), |pid| format!(" (process {pid})")),
        path.display()
    )]
    EngineBusy {
        /// Number of the other process, if it has written it.
        holder: Option<u32>,
        /// The lock.
        path: PathBuf,
    },
    /// The lock of the engine cannot be taken.
    #[error("cannot lock `{}`, which trainings take in turn", path.display())]
    EngineLock {
        /// The lock.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Apple's frameworks, or their stand-ins, refused or failed.
    #[error(transparent)]
    Apple(Box<AppleError>),
    /// The system cannot start the device's threads.
    #[error("cannot start threads")]
    Threads(#[source] std::io::Error),
}

impl DeviceError {
    /// Whether the device itself failed, so that starting it again may help, and not its caller or the system.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Unknown { .. }
            | Self::NoSuchPort { .. }
            | Self::PortBinding { .. }
            | Self::PortType { .. }
            | Self::ForeignBuffer { .. }
            | Self::Length { .. }
            | Self::Target { .. }
            | Self::Unsupported { .. }
            | Self::EngineBusy { .. }
            | Self::EngineLock { .. }
            | Self::Plan(_)
            | Self::Bind(_)
            | Self::Threads(_) => false,
            Self::Apple(e) => e.is_fault(),
            Self::Supervised(e) => e.is_fault(),
        }
    }
}

impl From<AppleError> for DeviceError {
    fn from(e: AppleError) -> Self {
        Self::Apple(Box::new(e))
    }
}
