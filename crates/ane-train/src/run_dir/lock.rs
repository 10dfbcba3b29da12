//! One training at a time in one run directory.

use crate::checkpoint::CheckpointError;
use ane_device::{LockError, ProcessLock};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file that the training in a directory holds, as long as it lasts.
const NAME: &str = ".lock";

/// The right to write in a run directory, until dropped or until the process ends. The file goes with it; one that a
/// killed process has left holds nobody up.
#[derive(Debug)]
pub(super) struct RunLock {
    path: PathBuf,
    /// None on a file system that knows no locks, where nobody can be held up.
    _lock: Option<ProcessLock>,
}

impl RunLock {
    /// Takes the directory `root`, which exists.
    ///
    /// # Errors
    /// [`CheckpointError::Busy`] while another process has it; when nothing can be written there.
    pub(super) fn acquire(root: &Path) -> Result<Self, CheckpointError> {
        let path = root.join(NAME);
        let lock = match ProcessLock::acquire(&path) {
            Ok(lock) => Some(lock),
            Err(LockError::Io(e)) if e.kind() == io::ErrorKind::Unsupported => None,
            Err(LockError::Io(source)) => {
                return Err(CheckpointError::Io {
                    action: "lock",
                    path,
                    source,
                });
            }
            Err(LockError::Held { holder }) => {
                return Err(CheckpointError::Busy {
                    run: root.to_owned(),
                    holder,
                });
            }
        };
        Ok(Self { path, _lock: lock })
    }
}

/// The process that trains in the directory `root`, as far as can be told without being in its way.
pub(super) fn holder(root: &Path) -> Option<u32> {
    ProcessLock::holder(&root.join(NAME))
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Before the lock itself goes, so that it is never another's file. Who waits for nothing does not mind one left.
        let _ = fs::remove_file(&self.path);
    }
}
