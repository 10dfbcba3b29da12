//! Where the weight files of a program come from.

use super::BlobError;
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// What stands for the directory of the program in the paths of its text.
const MODEL_PATH: &str = "@model_path/";

/// Most bytes that a weight file may have: 4 GiB, more than a program for any of the engines.
const LARGEST: u64 = 1 << 32;

/// Gives the contents of weight files.
pub trait BlobSource {
    /// The whole file that the text calls `path`, such as `@model_path/weights.bin`.
    ///
    /// # Errors
    /// When there is no such file or it cannot be read.
    fn load(&self, path: &str) -> Result<Arc<[u8]>, BlobError>;
}

/// Files in the directory of the program.
#[derive(Debug, Clone)]
pub struct DirectoryBlobs {
    directory: PathBuf,
}

impl DirectoryBlobs {
    /// Files in `directory`, for which `@model_path` stands.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }
}

impl BlobSource for DirectoryBlobs {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, BlobError> {
        let escapes = || BlobError::Escapes { path: path.into() };
        let io = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => BlobError::NotFound { path: path.into() },
            _ => BlobError::Io {
                path: path.into(),
                reason: e.to_string(),
            },
        };
        let inside = Path::new(path.strip_prefix(MODEL_PATH).ok_or_else(escapes)?);
        if !inside
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
        {
            return Err(escapes());
        }
        // A link inside the directory can still lead out of it; only resolved paths tell.
        let root = self.directory.canonicalize().map_err(io)?;
        let file = root.join(inside).canonicalize().map_err(io)?;
        if !file.starts_with(&root) {
            return Err(escapes());
        }
        let content = ane_files::read(&file, LARGEST).map_err(|e| io(e.into()))?;
        Ok(content.into())
    }
}

/// Files in memory, by their path in the text.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl MemoryBlobs {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the file that the text calls `path`.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }
}

impl BlobSource for MemoryBlobs {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, BlobError> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| BlobError::NotFound { path: path.into() })
    }
}

/// No weights at all: for text that must do without.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBlobs;

impl BlobSource for NoBlobs {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, BlobError> {
        Err(BlobError::NoWeights { path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_directory_and_nowhere_else() {
        let outer = tempfile::tempdir().unwrap();
        let model = outer.path().join("model");
        std::fs::create_dir_all(model.join("weights")).unwrap();
        std::fs::write(outer.path().join("secret"), b"no").unwrap();
        std::fs::write(model.join("weights/w.bin"), b"yes").unwrap();
        let blobs = DirectoryBlobs::new(&model);
        assert_eq!(*blobs.load("@model_path/weights/w.bin").unwrap(), *b"yes");
        for path in [
            "@model_path/../secret",
            "@model_path//etc/passwd",
            "/etc/passwd",
            "weights/w.bin",
        ] {
            let found = blobs.load(path);
            assert_eq!(found, Err(BlobError::Escapes { path: path.into() }));
        }
        assert!(matches!(
            blobs.load("@model_path/none"),
            Err(BlobError::NotFound { .. })
        ));
    }

    #[test]
    fn links_do_not_lead_out_of_the_directory() {
        let outer = tempfile::tempdir().unwrap();
        let model = outer.path().join("model");
        std::fs::create_dir_all(&model).unwrap();
        std::fs::write(outer.path().join("secret"), b"no").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), model.join("w.bin")).unwrap();
        let found = DirectoryBlobs::new(&model).load("@model_path/w.bin");
        assert!(matches!(found, Err(BlobError::Escapes { .. })));
    }
}
