//! `FetchEvent`: what a fetch tells its caller while it runs.

use std::fmt;
use std::path::PathBuf;

use super::fingerprint::{Fingerprint, Mismatch};

/// One thing that happened during a fetch; its `Display` is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// A data set of which nothing is cached is about to be acquired under these terms.
    Licence {
        /// Title of the data set.
        title: &'static str,
        /// The terms.
        text: &'static str,
    },
    /// Files are read from the directory that the user gave.
    ReadingDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// Every file came from the cache.
    UsingCache {
        /// The cache directory of the data set.
        directory: PathBuf,
    },
    /// A cached file is not what it should be, and is fetched again.
    CacheRejected {
        /// The cached file.
        path: PathBuf,
        /// How it differs; `None` where it cannot be read at all.
        mismatch: Option<Mismatch>,
    },
    /// A file was acquired but could not be cached; the next run acquires it again.
    CacheNotWritten {
        /// Where it should have gone.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Data of one's own can be read, and looks like a mistake.
    Suspicious {
        /// The file or folder.
        path: PathBuf,
        /// What is seen, and what can be done.
        note: String,
    },
    /// A URL is about to be read.
    TryingUrl {
        /// The URL.
        url: String,
    },
    /// A URL gave nothing usable.
    UrlFailed {
        /// The URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// A program of the user's is about to run.
    RunningCommand {
        /// The command line, quoted for a shell.
        command: String,
    },
    /// A package gave nothing usable.
    PackageFailed {
        /// The package and its client.
        source: String,
        /// Why.
        reason: String,
    },
    /// A file's length and SHA-256 are the published ones.
    Verified {
        /// Name of the file.
        file: &'static str,
        /// Its length and SHA-256.
        fingerprint: Fingerprint,
        /// Where it came from.
        source: String,
    },
}

impl fmt::Display for FetchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Licence { title, text } => write!(f, "{title}: {text}"),
            Self::ReadingDirectory { directory } => {
                write!(f, "reading data from {}", directory.display())
            }
            Self::UsingCache { directory } => {
                write!(f, "using the cached data in {}", directory.display())
            }
            Self::CacheRejected {
                path,
                mismatch: Some(mismatch),
            } => {
                write!(f, "rejected the cached {}: {mismatch}", path.display())
            }
            Self::CacheRejected {
                path,
                mismatch: None,
            } => {
                write!(f, "cannot read the cached {}", path.display())
            }
            Self::CacheNotWritten { path, reason } => {
                write!(f, "cannot cache {}: {reason}", path.display())
            }
            Self::Suspicious { path, note } => write!(f, "note: {}: {note}", path.display()),
            Self::TryingUrl { url } => write!(f, "trying {url}"),
            Self::UrlFailed { url, reason } => write!(f, "no data from {url}: {reason}"),
            Self::RunningCommand { command } => write!(f, "running {command}"),
            Self::PackageFailed { source, reason } => write!(f, "no data from {source}: {reason}"),
            Self::Verified {
                file,
                fingerprint,
                source,
            } => {
                write!(f, "verified {file} from {source}: {fingerprint}")
            }
        }
    }
}
