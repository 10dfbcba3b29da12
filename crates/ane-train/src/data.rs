//! Data sets: where their bytes come from, and how they become examples and labels.
//!
//! [`catalog`] describes each data set as data. [`fetch()`] finds its raw files (a directory of the
//! user's, the cache, public URLs, package clients) and holds every one of them to the same length
//! and SHA-256, so a data set is the same bytes whichever way it came. [`load`] turns the files
//! into [`Images`] per split, which are a [`Dataset`]. Nothing here ever makes up data: when no source answers, the
//! error lists what was tried and why each one failed.

mod augment;
mod batch;
mod cache;
pub mod catalog;
pub mod cifar;
mod corpus;
mod dataset;
pub mod description;
mod event;
mod fetch;
mod fingerprint;
pub mod gzip;
mod holdout;
pub mod idx;
mod images;
mod loader;
mod opened;
pub mod own;
pub mod sampler;
mod source;
mod stratify;
#[cfg(test)]
mod tests;
pub mod text;
mod undivided;
mod verify;

use ane_text::TextError;
use std::io;
use std::path::PathBuf;

pub use augment::{Augmentation, Augmented, Mixed};
pub use batch::{Batch, Values};
pub use cache::{CACHE_VARIABLE, default_root};
pub use catalog::{Content, DatasetSpec, FileSpec, Files, ImageSet, Normalisation, SplitSpec};
pub use cifar::CifarError;
pub use corpus::{Cleaned, CorpusSet};
pub use dataset::{Dataset, Field, FillError};
pub use description::Description;
pub use event::FetchEvent;
pub use fetch::{FetchOptions, RawFile, RawFiles, fetch};
pub use fingerprint::{Fingerprint, Mismatch, Sha256Digest};
pub use gzip::GzipError;
pub use holdout::{Holdout, SplitError, fills_a_batch};
pub use idx::IdxError;
pub use images::{Datasets, IMAGE, Images, LABEL, Split, TARGET, load};
pub use loader::{Loader, share_divisor};
pub use opened::{Loaded, Opened, is_undivided, kind};
pub use own::{DataSettings, OwnDataError};
pub use sampler::Sampler;
pub use source::archive::Archive;
pub use source::debian::DebianPackage;
pub use source::flat::{Encoding, FlatFile, Run};
pub use source::npm::NpmPackage;
pub use source::pip::{PipPackage, Wheel};
pub use source::url::Mirror;
pub use source::{Attempt, Origin, SourceError};
pub use undivided::{Form, UndividedSet};
pub use verify::{FileReport, FileStatus, verify};

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The caller's: no data set of the catalog has this name.
    #[error("no data set is called `{name}`: expected one of {}", list(known))]
    UnknownDataset {
        /// The name that was asked for.
        name: String,
        /// Every name in the catalog.
        known: Vec<&'static str>,
    },
    /// The caller's: the directory given lacks files.
    #[error("`{}` lacks {} of data set `{dataset}`", directory.display(), list(files))]
    MissingFromDirectory {
        /// Name of the data set.
        dataset: &'static str,
        /// The directory that was searched.
        directory: PathBuf,
        /// Every file that has no accepted spelling there.
        files: Vec<&'static str>,
    },
    /// The caller's: a file in the directory given is not the published one.
    #[error("`{}` is not the published `{file}`: {mismatch}", path.display())]
    WrongContent {
        /// The file that was read.
        path: PathBuf,
        /// Its name in the catalog.
        file: &'static str,
        /// Length and SHA-256, as published and as found.
        mismatch: Mismatch,
    },
    /// The machine's: a cached file is damaged, and offline mode forbids getting it again.
    #[error("the cached file `{}` is damaged and cannot be fetched again offline: {mismatch}", path.display())]
    DamagedCache {
        /// The cached file.
        path: PathBuf,
        /// Length and SHA-256, as published and as found.
        mismatch: Mismatch,
    },
    /// The caller's: offline mode, and the cache does not have the files.
    #[error("data set `{dataset}` is not complete in `{}`, and offline mode forbids fetching: missing {}", directory.display(), list(files))]
    MissingOffline {
        /// Name of the data set.
        dataset: &'static str,
        /// The cache directory of the data set.
        directory: PathBuf,
        /// Every file that is not cached.
        files: Vec<&'static str>,
    },
    /// The machine's: there is no home directory to keep a cache in.
    #[error("no cache directory: neither {CACHE_VARIABLE} nor a home directory is set")]
    NoCacheRoot,
    /// The world's: every source was tried and none had the files.
    #[error(
        "no source provided {} of data set `{dataset}`; tried:{}",
        list(files),
        bullets(attempts)
    )]
    Exhausted {
        /// Name of the data set.
        dataset: &'static str,
        /// Every file that is still missing.
        files: Vec<&'static str>,
        /// Each source that was tried, in order, with its reason.
        attempts: Vec<Attempt>,
    },
    /// The machine's: a file exists and cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The caller's: a compressed file in the directory given is damaged.
    #[error("cannot decompress `{}`: {source}", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GzipError,
    },
    /// The caller's: a file of one's own is not what it should be.
    #[error(transparent)]
    Own(#[from] OwnDataError),
    /// The caller's: a text is none, or its tokens cannot be had.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The caller's: there are too few examples.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A file is not the IDX file that it should be.
    #[error(transparent)]
    Idx(#[from] IdxError),
    /// A file is not the file of records that it should be.
    #[error(transparent)]
    Cifar(#[from] CifarError),
    /// Ours: the files are the published ones, and hold another number of examples than the catalog says.
    #[error("the {split} files of `{dataset}` hold {found} examples: expected {expected}")]
    Examples {
        /// Name of the data set.
        dataset: &'static str,
        /// Which part of it.
        split: Split,
        /// Examples that the catalog promises.
        expected: usize,
        /// Examples in the files.
        found: usize,
    },
    /// Ours: the file is the published one, and does not look as the catalog says.
    #[error("`{file}` does not look as the catalog says")]
    Form {
        /// Name of the file.
        file: &'static str,
    },
    /// Ours: a data set that nobody has divided was asked for its images.
    #[error("`{dataset}` is no set of images that are divided")]
    NotDivided {
        /// Name of the data set.
        dataset: &'static str,
    },
    /// The machine's: a file cannot be kept in the cache, where it is read from.
    #[error("cannot write `{}`: {source}", path.display())]
    NotKept {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Ours: the catalog's shape and the file's header disagree although the checksum is right.
    #[error("`{file}` holds {found:?} (examples, rows, columns): expected {expected:?}")]
    Shape {
        /// Name of the file.
        file: &'static str,
        /// Examples, rows and columns that the catalog promises.
        expected: [usize; 3],
        /// Examples, rows and columns that the header states.
        found: [usize; 3],
    },
}

impl DataError {
    /// What the user can do about it, where something can be done.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownDataset { .. } => Some("`ane-trainer data list` describes them".into()),
            Self::MissingFromDirectory { files, .. } => Some(format!(
                "put {} there, raw or as .gz (the spelling `train-images.idx3-ubyte` is accepted too), or leave out `--data-dir`",
                list(files)
            )),
            Self::WrongContent { file, .. } => Some(format!(
                "replace it with the original `{file}` (raw or .gz), or leave out `--data-dir` to fetch the published files"
            )),
            Self::DamagedCache { path, .. } => Some(format!(
                "delete `{}` and run once without `--offline`, or pass `--data-dir DIR` with a good copy",
                path.display()
            )),
            Self::MissingOffline { files, .. } => Some(format!(
                "run once without `--offline`, or pass `--data-dir DIR` where DIR holds {} (raw or .gz)",
                list(files)
            )),
            Self::NoCacheRoot => Some(format!(
                "set {CACHE_VARIABLE} to a directory that can be written, or pass `--data-dir DIR`"
            )),
            Self::Exhausted { files, .. } => Some(format!(
                "get {} from any machine, put them (raw or .gz) into a directory, and pass `--data-dir DIR`",
                list(files)
            )),
            Self::Unreadable { path, .. } => Some(format!(
                "check that `{}` is a file that you may read",
                path.display()
            )),
            Self::Gzip { path, .. } => Some(format!(
                "get `{}` again: this copy is damaged",
                path.display()
            )),
            Self::Own(error) => Some(error.help()),
            Self::Split(error) => Some(error.help()),
            Self::Idx(error) => error.help(),
            Self::Cifar(error) => error.help(),
            Self::NotKept { .. } => Some(format!(
                "let {CACHE_VARIABLE} name a directory that can be written and has space left"
            )),
            Self::Text(_)
            | Self::Shape { .. }
            | Self::Examples { .. }
            | Self::Form { .. }
            | Self::NotDivided { .. } => None,
        }
    }
}

/// Names in backquotes, separated by commas.
fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One line for each attempt, each on a line of its own.
fn bullets(attempts: &[Attempt]) -> String {
    attempts
        .iter()
        // What a client wrote may have several lines; they stay behind their bullet.
        .map(|attempt| format!("\n  - {}", attempt.to_string().replace('\n', "\n    ")))
        .collect()
}
