//! `fetch`: the raw files of a data set, from the first source that has the published bytes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::DataError;
use super::cache::{Cache, Cached};
use super::catalog::{DatasetSpec, FileSpec};
use super::event::FetchEvent;
use super::source::{self, Attempt, Clients, Errand, SourceError, directory};

/// Where to look for a data set.
#[derive(Debug, Clone, Default)]
pub struct FetchOptions {
    /// A directory with the files, raw or .gz. Where it is given nothing else is looked at.
    pub data_dir: Option<PathBuf>,
    /// Whether to use nothing but the cache.
    pub offline: bool,
    /// Root of the cache, instead of `$ANE_TRAINER_CACHE` or `$XDG_CACHE_HOME/ane-trainer`.
    pub cache_root: Option<PathBuf>,
    /// Where package clients are looked for, instead of PATH.
    pub search_path: Option<OsString>,
}

/// One raw file, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    /// Its name in the catalog.
    pub name: &'static str,
    /// Its raw content.
    pub content: Vec<u8>,
}

/// The raw files of a data set, verified, in the order of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFiles {
    /// Of the examples to train with; of a data set that is not divided, all.
    pub train: Vec<RawFile>,
    /// Of the examples to test with.
    pub test: Vec<RawFile>,
}

/// Gets the raw files of `spec` and tells `report` what happens on the way.
///
/// With a `data_dir`, that is the only source: someone who names a directory wants those files,
/// and a silent fallback would hide a slip. Otherwise the cache is first, then each origin of the
/// catalog in turn for what is still missing. Whatever arrives is cached once it is verified.
///
/// # Errors
///
/// If a file cannot be had with the published length and SHA-256; the error lists every source
/// that was tried.
pub fn fetch(
    spec: &DatasetSpec,
    options: &FetchOptions,
    report: &dyn Fn(FetchEvent),
) -> Result<RawFiles, DataError> {
    let files = spec.files();
    let contents = match &options.data_dir {
        Some(directory) => from_directory(spec, directory, report)?,
        None => from_cache_or_origins(spec, options, report)?,
    };
    let raw = files.into_iter().zip(contents);
    let mut train: Vec<RawFile> = raw
        .map(|(file, content)| RawFile {
            name: file.name,
            content,
        })
        .collect();
    let trained = spec.images().map(|set| set.train.files.iter().len());
    let test = train.split_off(trained.unwrap_or(train.len()));
    Ok(RawFiles { train, test })
}

/// The contents in the order of [`DatasetSpec::files`].
fn from_directory(
    spec: &DatasetSpec,
    directory: &Path,
    report: &dyn Fn(FetchEvent),
) -> Result<Vec<Vec<u8>>, DataError> {
    report(FetchEvent::ReadingDirectory {
        directory: directory.to_owned(),
    });
    let located = |file| (file, directory::locate(directory, file));
    let found: Vec<_> = spec.files().into_iter().map(located).collect();
    let missing: Vec<_> = found
        .iter()
        .filter(|(_, path)| path.is_none())
        .map(|(file, _)| file.name)
        .collect();
    if !missing.is_empty() {
        return Err(DataError::MissingFromDirectory {
            dataset: spec.name,
            directory: directory.to_owned(),
            files: missing,
        });
    }
    found
        .into_iter()
        .filter_map(|(file, path)| Some((file, path?)))
        .map(|(file, path)| {
            let content = directory::read(&path)?;
            if let Err(mismatch) = file.fingerprint.check(&content) {
                return Err(DataError::WrongContent {
                    path,
                    file: file.name,
                    mismatch,
                });
            }
            report(verified(file, path.display()));
            Ok(content)
        })
        .collect()
}

/// The contents in the order of [`DatasetSpec::files`].
fn from_cache_or_origins(
    spec: &DatasetSpec,
    options: &FetchOptions,
    report: &dyn Fn(FetchEvent),
) -> Result<Vec<Vec<u8>>, DataError> {
    let cache = Cache::open(spec, options.cache_root.as_deref())?;
    let files = spec.files();
    let mut shelf = Shelf {
        contents: vec![None; files.len()],
        files,
    };
    let fresh = read_cache(&cache, &mut shelf, options.offline, report)?;

    let missing = shelf.missing();
    if missing.is_empty() {
        report(FetchEvent::UsingCache {
            directory: cache.directory().to_owned(),
        });
    } else if options.offline {
        return Err(DataError::MissingOffline {
            dataset: spec.name,
            directory: cache.directory().to_owned(),
            files: missing.iter().map(|file| file.name).collect(),
        });
    } else {
        if fresh {
            report(FetchEvent::Licence {
                title: spec.title,
                text: spec.licence,
            });
        }
        try_origins(spec, options, &cache, &mut shelf, report)?;
    }
    Ok(shelf.contents.into_iter().flatten().collect())
}

/// The files of a data set and what has been obtained of them.
struct Shelf<'a> {
    files: Vec<&'a FileSpec>,
    contents: Vec<Option<Vec<u8>>>,
}

impl<'a> Shelf<'a> {
    fn missing(&self) -> Vec<&'a FileSpec> {
        let slots = self.files.iter().zip(&self.contents);
        slots
            .filter(|(_, content)| content.is_none())
            .map(|(&file, _)| file)
            .collect()
    }

    fn put(&mut self, file: &FileSpec, content: Vec<u8>) {
        for (slot, known) in self.contents.iter_mut().zip(&self.files) {
            if known.name == file.name {
                *slot = Some(content);
                return;
            }
        }
    }
}

/// Fills `shelf` from the cache; whether the cache knew nothing at all of the data set.
fn read_cache(
    cache: &Cache,
    shelf: &mut Shelf<'_>,
    offline: bool,
    report: &dyn Fn(FetchEvent),
) -> Result<bool, DataError> {
    let mut fresh = true;
    for file in shelf.files.clone() {
        let path = cache.path(file);
        let cached = cache.read(file);
        fresh &= matches!(cached, Cached::Absent);
        let mismatch = match cached {
            Cached::Content(content) => {
                shelf.put(file, content);
                continue;
            }
            Cached::Absent => continue,
            Cached::Damaged(mismatch) if offline => {
                return Err(DataError::DamagedCache { path, mismatch });
            }
            Cached::Unreadable(source) if offline => {
                return Err(DataError::Unreadable { path, source });
            }
            Cached::Damaged(mismatch) => Some(mismatch),
            Cached::Unreadable(_) => None,
        };
        report(FetchEvent::CacheRejected { path, mismatch });
    }
    Ok(fresh)
}

/// Asks each origin in turn for what `shelf` lacks, until it lacks nothing.
fn try_origins(
    spec: &DatasetSpec,
    options: &FetchOptions,
    cache: &Cache,
    shelf: &mut Shelf<'_>,
    report: &dyn Fn(FetchEvent),
) -> Result<(), DataError> {
    let clients = Clients::new(options.search_path.as_deref(), report);
    let mut attempts = Vec::new();
    for &origin in spec.origins {
        let wanted = shelf.missing();
        if wanted.is_empty() {
            return Ok(());
        }
        let errand = Errand {
            spec,
            wanted: &wanted,
            clients: &clients,
            report,
        };
        let mut accept = |file: &FileSpec, content: Vec<u8>| {
            file.fingerprint
                .check(&content)
                .map_err(|mismatch| SourceError::WrongContent {
                    file: file.name,
                    mismatch,
                })?;
            report(verified(file, origin));
            // A run does not fail for want of a cache: it has the data.
            if let Err(error) = cache.write(file, &content) {
                let path = cache.path(file);
                report(FetchEvent::CacheNotWritten {
                    path,
                    reason: error.to_string(),
                });
            }
            shelf.put(file, content);
            Ok(())
        };
        if let Err(reason) = source::obtain(&origin, &errand, &mut accept) {
            attempts.push(Attempt { origin, reason });
        }
    }
    let missing = shelf.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let files = missing.iter().map(|file| file.name).collect();
    Err(DataError::Exhausted {
        dataset: spec.name,
        files,
        attempts,
    })
}

fn verified(file: &FileSpec, source: impl ToString) -> FetchEvent {
    FetchEvent::Verified {
        file: file.name,
        fingerprint: file.fingerprint,
        source: source.to_string(),
    }
}
