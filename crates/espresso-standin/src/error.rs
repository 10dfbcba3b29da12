//! What a call can be refused for, and the codes that C callers see.

use ane_standin::{EnvironmentError, Event, ProgramError, TooManyLoaded};
use std::path::PathBuf;

/// A call failed. Apple's numbers are not known, but for 0, which is success; these are the stand-in's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum E5rtError {
    /// A pointer is null. Code 1.
    #[error("`{argument}` is null")]
    Null {
        /// Name of the parameter.
        argument: &'static str,
    },
    /// An argument has a value that means nothing. Code 2.
    #[error("`{argument}` is {found}, expected {expected}")]
    Value {
        /// Name of the parameter.
        argument: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A handle that was released, or never given out. Code 3.
    #[error("{handle:#x} is no live handle; it was released, or is something else")]
    Stale {
        /// The handle.
        handle: usize,
    },
    /// A handle of another kind. Code 4.
    #[error("{handle:#x} is a handle of the kind `{found}`, expected `{expected}`")]
    Kind {
        /// The handle.
        handle: usize,
        /// What it stands for.
        found: &'static str,
        /// What it must stand for.
        expected: &'static str,
    },
    /// No port or function of that name. Code 5.
    #[error("no {what} is called `{name}`; there are {}", known.join(", "))]
    Name {
        /// `input port`, `output port` or `function`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Something else must be done first. Code 6.
    #[error("cannot {call}: {reason}")]
    Order {
        /// What was asked.
        call: &'static str,
        /// Why it cannot be done yet, or any more.
        reason: String,
    },
    /// A buffer does not fit its port. Code 7.
    #[error("port `{port}` needs {expected} bytes, its buffer has {found}")]
    BufferSize {
        /// The port.
        port: String,
        /// Size of the port.
        expected: usize,
        /// Size of the buffer.
        found: usize,
    },
    /// Ports share a buffer in a way that has no meaning. Code 7.
    #[error("cannot bind: {0}")]
    Bind(#[from] ane_engine::BindError),
    /// The program could not be compiled. Code 8.
    #[error("compilation failed: {0}")]
    Program(#[from] ProgramError),
    /// A bundle is not what the compiler wrote. Code 9.
    #[error("`{}` is no compiled bundle: {reason}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The engine takes no more programs. Code 10.
    #[error("cannot load: {0}")]
    TooManyLoaded(#[from] TooManyLoaded),
    /// The stream is executing. Code 11.
    #[error("cannot {call}: the stream is executing")]
    Busy {
        /// What was asked.
        call: &'static str,
    },
    /// A planned fault. Code 12.
    #[error("{} fails as planned", event.name())]
    Planned {
        /// What fails.
        event: Event,
    },
    /// A planned refusal of buffers. Code 13.
    #[error("program inference error: status=0x1d, statusType=0x9 (as planned)")]
    Geometry,
    /// The environment of the process says something that means nothing. Code 14.
    #[error("{0}")]
    Environment(String),
    /// The system has no threads or memory left. Code 15.
    #[error("the system has no {0} left")]
    Exhausted(&'static str),
    /// A program for another chip. Code 17.
    #[error("the program was compiled for {chip}, this machine has {host}")]
    Architecture {
        /// What it was compiled for.
        chip: ane_ir::Chip,
        /// What there is.
        host: ane_ir::Chip,
    },
    /// A bug of the stand-in. Code 16.
    #[error("the stand-in panicked, which is a bug in it")]
    Panic,
}

impl E5rtError {
    /// What the C function returns.
    pub fn code(&self) -> i64 {
        match self {
            Self::Null { .. } => 1,
            Self::Value { .. } => 2,
            Self::Stale { .. } => 3,
            Self::Kind { .. } => 4,
            Self::Name { .. } => 5,
            Self::Order { .. } => 6,
            Self::BufferSize { .. } | Self::Bind(_) => 7,
            Self::Program(_) => 8,
            Self::Bundle { .. } => 9,
            Self::TooManyLoaded(_) => 10,
            Self::Busy { .. } => 11,
            Self::Planned { .. } => 12,
            Self::Geometry => 13,
            Self::Environment(_) => 14,
            Self::Exhausted(_) => 15,
            Self::Panic => 16,
            Self::Architecture { .. } => 17,
        }
    }

    pub(crate) fn order(call: &'static str, reason: impl Into<String>) -> Self {
        Self::Order {
            call,
            reason: reason.into(),
        }
    }

    pub(crate) fn value(
        argument: &'static str,
        found: impl ToString,
        expected: &'static str,
    ) -> Self {
        Self::Value {
            argument,
            found: found.to_string(),
            expected,
        }
    }
}

impl From<&EnvironmentError> for E5rtError {
    fn from(error: &EnvironmentError) -> Self {
        Self::Environment(error.to_string())
    }
}
