//! One training at a time on one engine.

use crate::{
    DeviceError,
    process_lock::{LockError, ProcessLock},
};
use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The right to use this machine's engine, until dropped or until the process ends, however it does.
///
/// The lock is advisory: two trainings at once are slow and fill the engine's table of loaded programs, but nothing
/// breaks, so who knows better need not ask for it.
#[derive(Debug)]
pub struct EngineLock {
    _lock: ProcessLock,
}

impl EngineLock {
    /// The file that every training on this machine locks, whoever started it: systems that give every user a temporary
    /// directory have `/tmp` besides. `ANE_TRAINER_LOCK` names another.
    pub fn path() -> PathBuf {
        let named = std::env::var_os("ANE_TRAINER_LOCK").filter(|path| !path.is_empty());
        Self::path_from(named.map(PathBuf::from), Path::new("/tmp"))
    }

    fn path_from(named: Option<PathBuf>, shared: &Path) -> PathBuf {
        named.unwrap_or_else(|| {
            let directory = if shared.is_dir() {
                shared.to_owned()
            } else {
                std::env::temp_dir()
            };
            directory.join("ane-trainer-engine.lock")
        })
    }

    /// Locks the file at `path`, which is made if there is none and stays when the lock ends.
    ///
    /// # Errors
    /// [`DeviceError::EngineBusy`] with the holder's number while another process has the lock; when the file cannot be
    /// opened.
    pub fn acquire(path: &Path) -> Result<Self, DeviceError> {
        let lock = ProcessLock::acquire(path).map_err(|e| match e {
            LockError::Held { holder } => DeviceError::EngineBusy {
                holder,
                path: path.to_owned(),
            },
            LockError::Io(source) => DeviceError::EngineLock {
                path: path.to_owned(),
                source,
            },
        })?;
        // So that other users can write their numbers; only the owner may change this, and has done it then.
        let _ = lock.file().set_permissions(Permissions::from_mode(0o666));
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_with_the_number_of_the_first_until_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // An earlier holder with a longer number leaves nothing behind.
        std::fs::write(&path, "123456789012\n").unwrap();
        let first = EngineLock::acquire(&path).unwrap();
        let error = EngineLock::acquire(&path).unwrap_err();
        let own = std::process::id();
        assert!(
            matches!(error, DeviceError::EngineBusy { holder: Some(h), .. } if h == own),
            "{error}"
        );
        assert!(error.to_string().contains(&own.to_string()), "{error}");
        drop(first);
        EngineLock::acquire(&path).unwrap();
        let nowhere = EngineLock::acquire(&dir.path().join("no/lock")).unwrap_err();
        assert!(
            matches!(nowhere, DeviceError::EngineLock { .. }),
            "{nowhere}"
        );
    }
    #[test]
    fn users_share_the_file_whatever_their_temporary_directories() {
        let dir = tempfile::tempdir().unwrap();
        let name = "ane-trainer-engine.lock";
        assert_eq!(
            EngineLock::path_from(None, dir.path()),
            dir.path().join(name)
        );
        let nowhere = EngineLock::path_from(None, &dir.path().join("nowhere"));
        assert_eq!(nowhere, std::env::temp_dir().join(name));
        let named = EngineLock::path_from(Some("/there".into()), dir.path());
        assert_eq!(named, Path::new("/there"));
        let path = dir.path().join(name);
        let _lock = EngineLock::acquire(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
    }
}
