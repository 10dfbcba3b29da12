//! Reading the files that a user names.
//!
//! A path that is typed can lead to anything: a device that never ends, a pipe that nobody writes to, a sparse file of
//! terabytes. Only regular files are read here, and of those at most as many bytes as the caller allows.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let path = dir.path().join("notes");
//! std::fs::write(&path, "eleven byte")?;
//! assert_eq!(ane_files::read(&path, 11)?, b"eleven byte");
//! assert!(ane_files::read(&path, 10).is_err());
//! assert!(ane_files::read("/dev/zero".as_ref(), 10).is_err());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

use std::{
    fs::{File, FileType, metadata},
    io::{self, ErrorKind, Read},
    os::unix::fs::FileTypeExt,
    path::Path,
};

/// A path cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path leads to something whose bytes have no end, or never come.
    #[error("it is {found}, expected a regular file")]
    NotAFile {
        /// What it is, with its article.
        found: &'static str,
    },
    /// The file is longer than what may be read of it.
    #[error("it has {found} bytes, expected at most {limit}")]
    TooLarge {
        /// Most bytes that were allowed.
        limit: u64,
        /// Its length, or one more than the limit where the file did not say.
        found: u64,
    },
}

/// For errors that have room for the system's word only.
impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(e) => e,
            ReadError::NotAFile { .. } => Self::new(ErrorKind::InvalidInput, error),
            ReadError::TooLarge { .. } => Self::new(ErrorKind::FileTooLarge, error),
        }
    }
}

/// Opens a regular file and gives its length.
///
/// What it is, is asked before it is opened: opening a pipe waits for its other end.
///
/// # Errors
/// When there is no such file, when it is not a regular one, when it may not be read.
pub fn open(path: &Path) -> Result<(File, u64), ReadError> {
    must_be_file(metadata(path)?.file_type())?;
    let file = File::open(path)?;
    // It may have been replaced in between.
    let metadata = file.metadata()?;
    must_be_file(metadata.file_type())?;
    Ok((file, metadata.len()))
}

/// The whole content of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`]; when the file is longer, before any of it is read where its length says so.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let (file, length) = open(path)?;
    if length > limit {
        return Err(ReadError::TooLarge {
            limit,
            found: length,
        });
    }
    let mut content = Vec::new();
    // Some files, such as those of /proc, say that they are empty.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    let found = content.len() as u64;
    if found > limit {
        return Err(ReadError::TooLarge { limit, found });
    }
    Ok(content)
}

fn must_be_file(found: FileType) -> Result<(), ReadError> {
    let found = match found {
        f if f.is_file() => return Ok(()),
        f if f.is_dir() => return Err(ReadError::Io(ErrorKind::IsADirectory.into())),
        f if f.is_fifo() => "a pipe",
        f if f.is_socket() => "a socket",
        f if f.is_char_device() || f.is_block_device() => "a device",
        _ => "something else",
    };
    Err(ReadError::NotAFile { found })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

    use super::*;

    fn refused(path: &Path, limit: u64) -> String {
        read(path, limit).unwrap_err().to_string()
    }

    #[test]
    fn what_has_no_end_or_never_comes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(refused(&pipe, 10), "it is a pipe, expected a regular file");
        let zeros = refused("/dev/zero".as_ref(), 10);
        assert_eq!(zeros, "it is a device, expected a regular file");
        assert!(matches!(read(dir.path(), 10), Err(ReadError::Io(_))));
        let none = read(&dir.path().join("none"), 10);
        assert!(matches!(none, Err(ReadError::Io(e)) if e.kind() == ErrorKind::NotFound));
    }

    #[test]
    fn a_sparse_file_is_refused_by_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let said = refused(&path, 1 << 20);
        assert_eq!(said, "it has 1099511627776 bytes, expected at most 1048576");
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        assert!(matches!(
            read(&path, 99),
            Err(ReadError::TooLarge {
                limit: 99,
                found: 100
            })
        ));
    }
}
