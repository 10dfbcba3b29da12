//! The directory of a run: configuration, environment, metrics, reports and checkpoints.

mod ending;
mod lines;
mod lock;
mod occupied;
mod row;
mod summary;
mod table;

pub use ending::RunEnding;
pub use row::Row;
pub use table::csv_row;

use crate::{
    bundle,
    checkpoint::{CheckpointError, remove_unfinished, replace_file},
    forensics::Finding,
};
use lock::RunLock;
use occupied::{entries, is_unfinished};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
pub use summary::{RunState, Summary};

/// Everything that is written into a directory of a run, by training, by those who watch it, and by exports.
const OWN: [&str; 26] = [
    ".lock",
    "bundles",
    "checkpoints",
    "commands.txt",
    "config.json",
    "curves.png",
    "curves.svg",
    "ending.json",
    "env.json",
    "findings.jsonl",
    "log.txt",
    "metrics.csv",
    "metrics.jsonl",
    "model",
    "model.keras",
    "model.mlpackage",
    "model.npz",
    "model.onnx",
    "model.safetensors",
    "model.swift",
    "placement.json",
    "report.html",
    "result.json",
    "steps.jsonl",
    "tensorboard",
    "timing.jsonl",
];

/// How the names of checkpoints begin that are kept of single epochs.
const EPOCH: &str = "epoch-";

/// A run's files.
///
/// ```text
/// config.json      the resolved configuration        env.json      versions and machine
/// metrics.jsonl    one line per epoch                metrics.csv      the same as a table
/// steps.jsonl      losses of single steps            timing.jsonl     what each epoch took
/// tensorboard/     event files of TensorBoard        placement.json   what ran where
/// curves.svg       losses and metrics as a picture   curves.png       the same in pixels
/// checkpoints/     last.ckpt last.safetensors best.ckpt best.safetensors, with --keep epoch-0001.ckpt and so on
/// findings.jsonl   where steps went wrong            bundles/         steps that can be replayed
/// commands.txt     the commands that have trained it ending.json      how it has ended
/// log.txt          what was said meanwhile
/// model/           what builds a model that was written elsewhere
/// ```
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
    /// Held by who writes.
    _lock: Option<Arc<RunLock>>,
}

impl RunDir {
    /// Makes the directory, or takes one that exists, without what killed writes have left in it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another process trains there.
    pub fn create(root: &Path) -> Result<Self, CheckpointError> {
        make(root)?;
        Self::take(root)?.prepare()
    }

    /// Takes a directory that exists: while this lives, no other process trains there. Nothing in it changes.
    ///
    /// # Errors
    /// [`CheckpointError::Busy`] when another process trains there; when nothing can be written there.
    pub fn take(root: &Path) -> Result<Self, CheckpointError> {
        Ok(Self {
            root: root.to_owned(),
            _lock: Some(Arc::new(RunLock::acquire(root)?)),
        })
    }

    /// Makes the directory ready to be written, without what killed writes have left in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(self) -> Result<Self, CheckpointError> {
        make(&self.checkpoints())?;
        remove_unfinished(&self.root)?;
        remove_unfinished(&self.checkpoints())?;
        Ok(self)
    }

    /// Makes a directory that was not there, at `root` or, while that is taken, with a number behind its name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_new(root: &Path) -> Result<Self, CheckpointError> {
        let io = |path: &Path| CheckpointError::io("make the directory", path);
        let parent = root.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(io(parent))?;
        let mut path = root.to_owned();
        for number in 2_u32.. {
            match fs::create_dir(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    let mut name = root.file_name().unwrap_or_default().to_owned();
                    name.push(format!("-{number}"));
                    path = root.with_file_name(name);
                }
                other => {
                    other.map_err(io(&path))?;
                    break;
                }
            }
        }
        Self::create(&path)
    }

    /// A directory that is only read.
    pub fn open(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            _lock: None,
        }
    }

    /// The process that trains here, if one does, by its number alone: nothing is locked, so that this may be asked
    /// often without being in anybody's way.
    pub fn trained_by(&self) -> Option<u32> {
        lock::holder(&self.root)
    }

    /// Removes what a run writes, and the directory where nothing else is in it; gives what else there is, which stays.
    ///
    /// # Errors
    /// When something cannot be listed or removed.
    pub fn remove(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let io = CheckpointError::io;
        let mut others = Vec::new();
        for path in entries(&self.root)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_own = OWN.contains(&&*name) || is_unfinished(&path);
            let removed = match is_own {
                true if path.is_dir() => fs::remove_dir_all(&path),
                true => fs::remove_file(&path),
                false => {
                    others.push(path);
                    continue;
                }
            };
            removed.map_err(io("remove", &path))?;
        }
        if others.is_empty() {
            fs::remove_dir(&self.root).map_err(io("remove", &self.root))?;
        }
        others.sort();
        Ok(others)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the checkpoint that is kept of an epoch, from 1.
    pub fn epoch_name(epoch: u64) -> String {
        format!("{EPOCH}{epoch:04}")
    }

    /// Removes the checkpoints of all epochs but the last `keep`, and the weights beside them.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    pub fn prune_epochs(&self, keep: u64) -> Result<(), CheckpointError> {
        let folder = self.checkpoints();
        let io = CheckpointError::io;
        let mut files: Vec<(u64, PathBuf)> = Vec::new();
        for path in entries(&folder)? {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let epoch = stem.and_then(|stem| stem.strip_prefix(EPOCH)?.parse().ok());
            files.extend(epoch.map(|epoch| (epoch, path)));
        }
        let last = files.iter().map(|(epoch, _)| *epoch).max().unwrap_or(0);
        for (epoch, path) in files {
            if epoch + keep <= last {
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The checkpoint called `name`, `last` or `best`.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{name}.ckpt"))
    }

    /// The fp32 weights of the checkpoint called `name`.
    pub fn weights(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{name}.safetensors"))
    }

    /// The metrics, one JSON object per line.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// The metrics as a table of comma-separated values.
    pub fn table(&self) -> PathBuf {
        self.root.join("metrics.csv")
    }

    /// Losses of single steps, evenly spread over the run, one JSON object per line.
    pub fn steps(&self) -> PathBuf {
        self.root.join("steps.jsonl")
    }

    /// What each epoch took, one JSON object per line: what differs when a run is repeated.
    pub fn timing(&self) -> PathBuf {
        self.root.join("timing.jsonl")
    }

    /// Event files of TensorBoard.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The commands that have trained the run, one a line.
    pub fn commands(&self) -> PathBuf {
        self.root.join("commands.txt")
    }

    /// Where steps went wrong, one [`Finding`] a line.
    pub fn findings(&self) -> PathBuf {
        self.root.join("findings.jsonl")
    }

    /// Steps that overflowed, each a [`Bundle`](crate::bundle::Bundle).
    pub fn bundles(&self) -> PathBuf {
        self.root.join("bundles")
    }

    /// The resolved configuration, written when a run begins.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.json")
    }

    /// What the program has said while it trained.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.txt")
    }

    /// Where that is which builds a model that was written elsewhere.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// What the run came to on the test set, written when it has ended.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// How the run has ended, written when it has.
    pub fn ending(&self) -> PathBuf {
        self.root.join("ending.json")
    }

    /// Writes how the run has ended.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end(&self, ending: &RunEnding) -> Result<(), CheckpointError> {
        self.write_json("ending.json", ending)
    }

    /// Removes what the run came to and how it ended, as it goes on.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_result(&self) -> Result<(), CheckpointError> {
        for path in [self.ending(), self.result()] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(CheckpointError::Io {
                        action: "remove",
                        path,
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes `value` as the JSON file `name`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), CheckpointError> {
        let path = self.root.join(name);
        let mut text = serde_json::to_string_pretty(value).map_err(|e| CheckpointError::Body {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        text.push('\n');
        replace_file(&path, text.as_bytes())
    }

    /// Appends an epoch's metrics as a line, and as a row of the table beside it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn append_metrics(&self, metrics: &impl Serialize) -> Result<(), CheckpointError> {
        let line = lines::line_of(&self.metrics(), metrics)?;
        lines::append_for_good(&self.metrics(), &line)?;
        let Some(row) = Row::parse(&line) else {
            return Ok(());
        };
        let table = self.table();
        let has_head = fs::metadata(&table).is_ok_and(|m| m.len() > 0);
        let text = if has_head {
            table::body(&row)
        } else {
            table::beginning(&row)
        };
        lines::append_for_good(&table, &text)
    }

    /// Appends a line to the losses of single steps.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_step(&self, step: &impl Serialize) -> Result<(), CheckpointError> {
        let path = self.steps();
        lines::append(&path, &lines::line_of(&path, step)?).map(drop)
    }

    /// Appends what an epoch took as a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_timing(&self, timing: &impl Serialize) -> Result<(), CheckpointError> {
        let path = self.timing();
        lines::append(&path, &lines::line_of(&path, timing)?).map(drop)
    }

    /// Notes a command that trains the run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_command(&self, line: &str) -> Result<(), CheckpointError> {
        lines::append(&self.commands(), &format!("{line}\n")).map(drop)
    }

    /// Appends what went wrong in a step, unless it is there already: a step that a fault repeats goes wrong again.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn append_finding(&self, finding: &Finding) -> Result<(), CheckpointError> {
        if self.read_findings()?.contains(finding) {
            return Ok(());
        }
        let path = self.findings();
        lines::append(&path, &lines::line_of(&path, finding)?).map(drop)
    }

    /// Drops lines of steps after `step`: a resumed run writes them again. A run that begins anew has no steps that another
    /// has left to be replayed.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn truncate_metrics(&self, step: u64) -> Result<(), CheckpointError> {
        let up_to = |row: &Row| row.step().is_some_and(|s| s <= step);
        lines::keep(&self.findings(), up_to)?;
        if step == 0 {
            bundle::remove_all(&self.bundles())?;
        }
        let metrics = lines::keep(&self.metrics(), up_to)?;
        self.truncate_steps(step)?;
        lines::keep(&self.timing(), up_to)?;
        self.write_table(metrics)
    }

    /// Drops what was noted of epochs after so many: of one that the last step of a run ended, and that goes on since the
    /// run was given more.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn forget_epochs_after(&self, epochs: u64) -> Result<(), CheckpointError> {
        let is_before = |row: &Row| row.number("epoch").is_some_and(|e| e <= epochs as f64);
        let metrics = lines::keep(&self.metrics(), is_before)?;
        lines::keep(&self.timing(), is_before)?;
        self.write_table(metrics)
    }

    /// Writes the metrics as a table.
    fn write_table(&self, metrics: Option<String>) -> Result<(), CheckpointError> {
        match metrics {
            Some(text) => {
                let table = table::of(&Row::all(&text));
                replace_file(&self.table(), table.as_bytes())
            }
            None if self.table().exists() => replace_file(&self.table(), b""),
            None => Ok(()),
        }
    }

    /// Drops the losses of steps after `step`, which are taken again.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn truncate_steps(&self, step: u64) -> Result<(), CheckpointError> {
        let up_to = |row: &Row| row.step().is_some_and(|s| s <= step);
        lines::keep(&self.steps(), up_to).map(drop)
    }

    /// The metrics so far, a row per epoch; a line that is being written is left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_metrics(&self) -> Result<Vec<Row>, CheckpointError> {
        rows(&self.metrics())
    }

    /// The losses of single steps so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_steps(&self) -> Result<Vec<Row>, CheckpointError> {
        rows(&self.steps())
    }

    /// Where steps went wrong so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_findings(&self) -> Result<Vec<Finding>, CheckpointError> {
        let text = lines::read(&self.findings())?.unwrap_or_default();
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// What the epochs so far took.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_timing(&self) -> Result<Vec<Row>, CheckpointError> {
        rows(&self.timing())
    }
}

fn rows(path: &Path) -> Result<Vec<Row>, CheckpointError> {
    Ok(Row::all(&lines::read(path)?.unwrap_or_default()))
}

/// Makes a directory and those above it.
fn make(path: &Path) -> Result<(), CheckpointError> {
    fs::create_dir_all(path).map_err(|source| CheckpointError::Io {
        action: "make the directory",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_process_at_a_time_and_what_is_locked_is_not_left() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::take(dir.path()).unwrap();
        let second = RunDir::create(dir.path()).unwrap_err();
        let own = std::process::id();
        assert!(matches!(second, CheckpointError::Busy { holder: Some(h), .. } if h == own));
        assert!(second.to_string().contains(&own.to_string()), "{second}");
        let clone = first.clone();
        drop(first);
        assert!(RunDir::take(dir.path()).is_err(), "{clone:?} still writes");
        drop(clone);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // What a killed process has left.
        fs::write(dir.path().join(".lock"), "1\n").unwrap();
        RunDir::create(dir.path()).unwrap();
    }

    #[test]
    fn a_new_directory_is_never_one_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("runs").join("mnist-1");
        let names = [(); 3].map(|()| RunDir::create_new(&root).unwrap());
        let names = names.map(|r| r.root().file_name().unwrap().to_owned());
        assert_eq!(names, ["mnist-1", "mnist-1-2", "mnist-1-3"]);
    }

    #[test]
    fn what_killed_writes_have_left_goes_when_a_run_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        fs::write(run.metrics(), "").unwrap();
        assert_eq!(run.trace(), None);
        fs::write(run.metrics(), "{}\n").unwrap();
        assert_eq!(run.trace(), Some(run.metrics()));
        fs::write(run.config(), "{}").unwrap();
        assert_eq!(run.trace(), None);
        fs::write(run.checkpoint("last"), "").unwrap();
        let left = [".writing-a", "checkpoints/.writing-b"].map(|f| dir.path().join(f));
        for file in &left {
            fs::write(file, "half").unwrap();
        }
        drop(run);
        let run = RunDir::create(dir.path()).unwrap();
        assert!(left.iter().all(|f| !f.exists()));
        assert_eq!(run.trace(), Some(run.checkpoint("last")));
    }
}
