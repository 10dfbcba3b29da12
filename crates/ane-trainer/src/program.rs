//! How this program is started again: parts of it that may crash or hang run in processes of their own.

use std::{ffi::OsString, io, path::PathBuf, sync::OnceLock};

/// What a process runs that is this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Its own executable.
    Executable,
    /// An interpreter, whose first arguments name the program.
    Interpreted {
        /// The interpreter.
        interpreter: PathBuf,
        /// The arguments before those of the program.
        leading: Vec<OsString>,
    },
}

/// What this process runs.
static THIS: OnceLock<Program> = OnceLock::new();

impl Program {
    /// Says what this process runs. That does not change: what was said first holds.
    pub(crate) fn remember(self) {
        THIS.get_or_init(|| self);
    }

    /// The file to start, and the arguments before those of the program.
    ///
    /// # Errors
    /// When the system does not say what this process runs.
    pub(crate) fn again() -> io::Result<(PathBuf, Vec<OsString>)> {
        match THIS.get() {
            Some(Self::Interpreted {
                interpreter,
                leading,
            }) => Ok((interpreter.clone(), leading.clone())),
            Some(Self::Executable) | None => Ok((std::env::current_exe()?, Vec::new())),
        }
    }
}
