//! Whether a directory is another run's, or somebody's, before a run begins in it.

use super::RunDir;
use crate::checkpoint::{CheckpointError, UNFINISHED};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is written before the configuration, besides a folder for checkpoints.
const BEFORE_CONFIG: [&str; 3] = [".lock", "log.txt", "model"];

impl RunDir {
    /// A file that shows that another run has been here: one of its checkpoints, how it ended, or metrics of which nothing
    /// says whose they are. A run that was killed before its first checkpoint, which left its configuration, is begun again
    /// in place.
    pub fn trace(&self) -> Option<PathBuf> {
        let checkpoints = ["last", "best"].map(|name| self.checkpoint(name));
        let has_lines = fs::metadata(self.metrics()).is_ok_and(|m| m.len() > 0);
        let metrics = (has_lines && !self.config().exists()).then(|| self.metrics());
        let all = checkpoints.into_iter().chain([self.ending()]);
        all.into_iter().find(|f| f.exists()).or(metrics)
    }

    /// A file or folder that shows that the directory is somebody's and no run's: there is no configuration, and more than
    /// what a run leaves that is killed before it writes one.
    ///
    /// # Errors
    /// When the directory is there and cannot be listed.
    pub fn foreign(&self) -> Result<Option<PathBuf>, CheckpointError> {
        if !self.root.is_dir() || self.config().exists() {
            return Ok(None);
        }
        let folder = self.checkpoints();
        for path in entries(&self.root)? {
            let is_left = match path == folder && path.is_dir() {
                true => entries(&folder)?.iter().all(|p| is_unfinished(p)),
                false if BEFORE_CONFIG.iter().any(|name| path.ends_with(name)) => true,
                false => is_unfinished(&path),
            };
            if !is_left {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// What lies in a directory, by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let io = |source| CheckpointError::io("read", folder)(source);
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        all.push(entry.map_err(io)?.path());
    }
    all.sort();
    Ok(all)
}

/// Whether a write that was killed has left it.
pub(super) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(UNFINISHED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::RunEnding;

    #[test]
    fn a_directory_is_a_runs_or_somebodys_or_free() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let run = RunDir::open(&root);
        let found = || (run.trace(), run.foreign().unwrap());
        assert_eq!(found(), (None, None));
        // What a run that is killed early leaves is free.
        drop(RunDir::create(&root).unwrap());
        for name in [".lock", "log.txt", "checkpoints/.writing-1"] {
            fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(found(), (None, None));
        let picture = root.join("a.png");
        fs::write(&picture, "").unwrap();
        assert_eq!(found(), (None, Some(picture)));
        run.write_json("config.json", &serde_json::json!({}))
            .unwrap();
        assert_eq!(found(), (None, None));
        run.end(&RunEnding::finished()).unwrap();
        assert_eq!(found(), (Some(run.ending()), None));
    }
}
