//! The cache: raw files under their data set's name, never anything unverified.
//!
//! A file is written under a temporary name of its own in the same directory, synced and renamed,
//! so a reader sees the whole file or none, and processes that fetch at the same time replace each
//! other's files by identical ones.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;

use super::DataError;
use super::catalog::{DatasetSpec, FileSpec};
use super::fingerprint::Mismatch;

/// Environment variable that moves the cache; it names the directory that otherwise is
/// `$XDG_CACHE_HOME/ane-trainer`.
pub const CACHE_VARIABLE: &str = "ANE_TRAINER_CACHE";

/// The cached files of one data set.
pub(super) struct Cache {
    directory: PathBuf,
}

/// What the cache has under a file's name.
pub(super) enum Cached {
    /// The published content.
    Content(Vec<u8>),
    /// Nothing.
    Absent,
    /// Something else.
    Damaged(Mismatch),
    /// A file that cannot be read.
    Unreadable(io::Error),
}

impl Cache {
    /// The cache of `spec` below `root`, or below the default root where `root` is `None`.
    pub(super) fn open(spec: &DatasetSpec, root: Option<&Path>) -> Result<Self, DataError> {
        let root = match root {
            Some(root) => root.to_owned(),
            None => default_root()?,
        };
        Ok(Self {
            directory: root.join("data").join(spec.name),
        })
    }

    /// A folder in it.
    pub(super) fn folder(&self, name: &str) -> Self {
        Self {
            directory: self.directory.join(name),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path(&self, file: &FileSpec) -> PathBuf {
        self.directory.join(file.name)
    }

    /// Reads and verifies `file`.
    pub(super) fn read(&self, file: &FileSpec) -> Cached {
        let content = match self.content(file) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Cached::Absent,
            Err(error) => return Cached::Unreadable(error),
        };
        match file.fingerprint.check(&content) {
            Ok(()) => Cached::Content(content),
            Err(mismatch) => Cached::Damaged(mismatch),
        }
    }

    fn content(&self, file: &FileSpec) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let (opened, _) = ane_files::open(&self.path(file))?;
        // One byte too many suffices to tell that a file is too long.
        opened
            .take(file.fingerprint.bytes + 1)
            .read_to_end(&mut content)?;
        Ok(content)
    }

    /// Puts `content`, which the caller has verified, in the place of `file`.
    pub(super) fn write(&self, file: &FileSpec, content: &[u8]) -> io::Result<()> {
        self.replace(file.name, content)
    }

    /// The path of a file that is made of verified ones, which is written unless it is there with this content.
    pub(super) fn keep(&self, name: &str, content: &[u8]) -> Result<PathBuf, DataError> {
        let path = self.directory.join(name);
        let most = content.len() as u64 + 1;
        if ane_files::read(&path, most).is_ok_and(|there| there == content) {
            return Ok(path);
        }
        match self.replace(name, content) {
            Ok(()) => Ok(path),
            Err(source) => Err(DataError::NotKept { path, source }),
        }
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut temporary = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .tempfile_in(&self.directory)?;
        temporary.write_all(content)?;
        temporary.as_file().sync_all()?;
        temporary
            .persist(self.directory.join(name))
            .map_err(|error| error.error)?;
        // The rename itself lives in the directory. Some file systems cannot sync one, and a
        // rename lost in a power cut costs one more download, not a wrong byte.
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

/// `$ANE_TRAINER_CACHE`, or `$XDG_CACHE_HOME/ane-trainer` on every unix.
///
/// # Errors
/// When neither is set and there is no home directory.
pub fn default_root() -> Result<PathBuf, DataError> {
    match std::env::var_os(CACHE_VARIABLE) {
        Some(root) if !root.is_empty() => Ok(root.into()),
        _ => {
            let base = Xdg::new().map_err(|_| DataError::NoCacheRoot)?;
            Ok(base.cache_dir().join("ane-trainer"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalog;
    use crate::data::fingerprint::Fingerprint;

    const CONTENT: &[u8] = b"raw content";

    fn cache(root: &Path) -> (Cache, FileSpec) {
        let cache = Cache::open(catalog::find("mnist").unwrap(), Some(root)).unwrap();
        (
            cache,
            FileSpec {
                name: "labels",
                fingerprint: Fingerprint::of(CONTENT),
            },
        )
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        let (cache, file) = cache(root.path());
        assert!(matches!(cache.read(&file), Cached::Absent));
        cache.write(&file, CONTENT).unwrap();
        assert!(matches!(cache.read(&file), Cached::Content(content) if content == CONTENT));
        assert_eq!(cache.path(&file), root.path().join("data/mnist/labels"));
        assert_eq!(fs::read_dir(cache.directory()).unwrap().count(), 1);
    }

    #[test]
    fn notices_a_flipped_bit_a_missing_byte_and_an_extra_byte() {
        let root = tempfile::tempdir().unwrap();
        let (cache, file) = cache(root.path());
        cache.write(&file, CONTENT).unwrap();
        let mut flipped = CONTENT.to_vec();
        flipped[4] ^= 1;
        for damaged in [&flipped, &CONTENT[1..], &[CONTENT, b"!"].concat()] {
            fs::write(cache.path(&file), damaged).unwrap();
            let Cached::Damaged(mismatch) = cache.read(&file) else {
                panic!("{damaged:?} passes for {CONTENT:?}")
            };
            assert_eq!(mismatch.found.bytes, damaged.len() as u64);
        }
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_is_unreadable_not_absent() {
        let root = tempfile::tempdir().unwrap();
        let (cache, file) = cache(root.path());
        fs::create_dir_all(cache.path(&file)).unwrap();
        assert!(matches!(cache.read(&file), Cached::Unreadable(_)));
    }

    #[test]
    fn writers_at_the_same_time_leave_one_whole_file() {
        let root = tempfile::tempdir().unwrap();
        let (cache, file) = cache(root.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        cache.write(&file, CONTENT).unwrap();
                        assert!(matches!(cache.read(&file), Cached::Content(_)));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(cache.directory()).unwrap().count(), 1);
    }
}
