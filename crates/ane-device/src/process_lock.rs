//! A file that one process has at a time, and that says which.

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// The hold on a file, until dropped or until the process ends, however it does.
#[derive(Debug)]
pub struct ProcessLock {
    file: File,
}

/// A file cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another has it.
    #[error("held by {}", holder.map_or("another process".to_owned(), |id| format!("process {id}")))]
    Held {
        /// Number of the process, where it could be read.
        holder: Option<u32>,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ProcessLock {
    /// Locks the file at `path`, which is made if there is none, and writes this process's number into it.
    ///
    /// # Errors
    /// [`LockError::Held`] while another process has it; when the file can neither be written nor read.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        loop {
            let mut file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if file.try_lock_shared().is_ok() => {
                    // Somebody has only looked whether it is held.
                    let _ = file.unlock();
                    std::thread::yield_now();
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // Who holds the lock may be about to write its number.
                    let _ = (&mut file).take(64).read_to_string(&mut holder);
                    let holder = holder.trim().parse().ok();
                    return Err(LockError::Held { holder });
                }
                Err(TryLockError::Error(e)) => return Err(e.into()),
            }
            // The holder before may have removed the file between our opening and locking it; others would lock a new one.
            let own = file.metadata()?;
            if !fs::metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == (own.dev(), own.ino())) {
                continue;
            }
            // The number only serves the message above; a file that cannot be written is locked all the same.
            let _ = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            return Ok(Self { file });
        }
    }

    /// The process that holds the file at `path`, by the number in it. Whoever wants the file meanwhile gets it.
    pub fn holder(path: &Path) -> Option<u32> {
        let mut number = String::new();
        let file = File::open(path).ok()?;
        (&file).take(64).read_to_string(&mut number).ok()?;
        let number: u32 = number.trim().parse().ok()?;
        let process = Pid::from_raw(i32::try_from(number).ok()?)?;
        match test_kill_process(process) {
            // It may be another user's.
            Ok(()) | Err(Errno::PERM) => {}
            Err(_) => return None,
        }
        // The number may be another process's by now, which holds nothing. Where there are no locks it is all there is.
        match file.try_lock_shared() {
            Ok(()) => {
                let _ = file.unlock();
                None
            }
            Err(_) => Some(number),
        }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        // Closing would leave it to a child that was just started and has not yet become another program.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut own = OpenOptions::new();
    own.read(true).write(true);
    match own.open(path) {
        // Asked for only now: in a directory that all may write, some systems refuse it for another user's file.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            own.create(true).truncate(false).open(path)
        }
        // Another user's file can be locked, though not written.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_file_is_who_lives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(ProcessLock::holder(&path), None);
        let _lock = ProcessLock::acquire(&path).unwrap();
        assert_eq!(ProcessLock::holder(&path), Some(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        for nobody in [
            child.id().to_string(),
            "0".into(),
            "-1".into(),
            String::new(),
        ] {
            fs::write(&path, &nobody).unwrap();
            assert_eq!(ProcessLock::holder(&path), None, "{nobody}");
        }
    }

    #[test]
    fn a_number_that_another_process_has_by_now_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, std::process::id().to_string()).unwrap();
        assert_eq!(ProcessLock::holder(&path), None);
        // Who is just looking keeps nobody from it.
        let looking = File::open(&path).unwrap();
        looking.try_lock_shared().unwrap();
        std::thread::scope(|s| {
            let waiting = s.spawn(|| ProcessLock::acquire(&path).map(drop));
            looking.unlock().unwrap();
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_file_that_is_removed_by_its_holder_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = ProcessLock::acquire(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // The name is free, so that the next holder makes another file.
        let second = ProcessLock::acquire(&path).unwrap();
        drop(first);
        let own = std::process::id();
        let third = ProcessLock::acquire(&path).unwrap_err();
        assert!(matches!(third, LockError::Held { holder: Some(h) } if h == own));
        drop(second);
        ProcessLock::acquire(&path).unwrap();
    }
}
