//! `verify`: hashes what is there again, and says of each file how it stands.

use std::fmt;
use std::path::PathBuf;

use super::DataError;
use super::cache::{Cache, Cached};
use super::catalog::{DatasetSpec, FileSpec};
use super::fetch::FetchOptions;
use super::fingerprint::{Fingerprint, Mismatch};
use super::source::directory;

/// One row of what [`verify`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Name of the file in the catalog.
    pub file: &'static str,
    /// The published length and SHA-256.
    pub expected: Fingerprint,
    /// Where it is, or where it should be.
    pub path: PathBuf,
    /// How it stands.
    pub status: FileStatus,
}

/// How a file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileStatus {
    /// It has the published content.
    Verified,
    /// It is not there.
    Missing,
    /// It has other content.
    Mismatch(Mismatch),
    /// It cannot be read or decompressed.
    Unreadable {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for FileStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Missing => f.write_str("missing"),
            Self::Mismatch(how) => write!(f, "not the published file: {how}"),
            Self::Unreadable { reason } => write!(f, "unreadable: {reason}"),
        }
    }
}

/// Hashes the files of `spec` in the `data_dir`, or in the cache where there is none.
///
/// Nothing is fetched and nothing changed; every file gets its row, right or wrong.
///
/// # Errors
///
/// If there is no cache directory to look at.
pub fn verify(spec: &DatasetSpec, options: &FetchOptions) -> Result<Vec<FileReport>, DataError> {
    let row = |file: &FileSpec, path, status| FileReport {
        file: file.name,
        expected: file.fingerprint,
        path,
        status,
    };
    if let Some(data_dir) = &options.data_dir {
        let rows = spec
            .files()
            .into_iter()
            .map(|file| match directory::locate(data_dir, file) {
                None => row(file, data_dir.join(file.name), FileStatus::Missing),
                Some(path) => {
                    let status = match directory::read(&path) {
                        Ok(content) => match file.fingerprint.check(&content) {
                            Ok(()) => FileStatus::Verified,
                            Err(mismatch) => FileStatus::Mismatch(mismatch),
                        },
                        Err(error) => FileStatus::Unreadable {
                            reason: error.to_string(),
                        },
                    };
                    row(file, path, status)
                }
            });
        return Ok(rows.collect());
    }
    let cache = Cache::open(spec, options.cache_root.as_deref())?;
    let rows = spec.files().into_iter().map(|file| {
        let status = match cache.read(file) {
            Cached::Content(_) => FileStatus::Verified,
            Cached::Absent => FileStatus::Missing,
            Cached::Damaged(mismatch) => FileStatus::Mismatch(mismatch),
            Cached::Unreadable(error) => FileStatus::Unreadable {
                reason: error.to_string(),
            },
        };
        row(file, cache.path(file), status)
    });
    Ok(rows.collect())
}
