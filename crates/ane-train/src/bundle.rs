//! Bundles: a step that overflowed, with all that it takes to take it again.
//!
//! ```text
//! bundles/step-000123/
//!   state.ckpt           the state before the step, the counters and the configuration of the run
//!   batch.safetensors    the batches of the step
//!   outcome.json         what came of it, as bits
//!   model/               what builds a model that was written elsewhere
//! ```
//!
//! A bundle is made under another name and renamed, so that a name always points to a whole one.

mod batches;

use crate::{
    checkpoint::{Checkpoint, CheckpointError, UNFINISHED, replace_file},
    data::Batch,
    forensics::Finding,
    trainer::BatchNumbers,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Most bundles of a run: the first overflows say as much as the rest, and each has the size of a checkpoint.
pub const MOST_BUNDLES: usize = 5;
/// Most bytes of `outcome.json`.
const LARGEST_OUTCOME: u64 = 1 << 24;

const STATE: &str = "state.ckpt";
const BATCH: &str = "batch.safetensors";
const OUTCOME: &str = "outcome.json";
const MODEL: &str = "model";

/// What came of a recorded step, and what of it the state does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Changes whenever a field changes its meaning.
    pub format: u32,
    /// The step, from 1.
    pub step: u64,
    /// Seed of what layers draw: with step, batch and path of the layer it makes their random numbers.
    pub seed: u64,
    /// Steps of the whole run, for the schedule.
    pub total_steps: u64,
    /// The loss scale.
    pub loss_scale: f32,
    /// Mean loss of the examples, the bits of an f32.
    pub loss: u32,
    /// Whether the step was skipped.
    pub overflow: bool,
    /// What the programs made of each batch when they were run again.
    pub batches: Vec<BatchNumbers>,
    /// Where it went wrong, if evaluation finds that.
    pub finding: Option<Finding>,
}

impl Outcome {
    /// The format that this program writes and reads.
    pub const FORMAT: u32 = 1;
}

/// A step that can be taken again.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The state before the step, with the counters as they were.
    pub checkpoint: Checkpoint,
    /// The batches of the step.
    pub batches: Vec<Batch>,
    /// What came of it.
    pub outcome: Outcome,
}

/// The error of a file that holds something else.
fn other(path: &Path, reason: impl ToString) -> CheckpointError {
    CheckpointError::Body {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn name(step: u64) -> String {
    format!("step-{step:06}")
}

impl Bundle {
    /// Whether the folder `bundles` has one of this step.
    pub fn is_there(bundles: &Path, step: u64) -> bool {
        bundles.join(name(step)).exists()
    }

    /// How many bundles the folder `bundles` has.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn count(bundles: &Path) -> Result<usize, CheckpointError> {
        if !bundles.exists() {
            return Ok(0);
        }
        let entries = fs::read_dir(bundles).map_err(CheckpointError::io("read", bundles))?;
        let is_whole = |e: &fs::DirEntry| e.file_name().to_string_lossy().starts_with("step-");
        Ok(entries.flatten().filter(is_whole).count())
    }

    /// Writes the bundle into the folder `bundles`, with a copy of the folder `model` where there is one; gives its path.
    ///
    /// # Errors
    /// When it cannot be written; there is none of its name then.
    pub fn write_in(&self, bundles: &Path, model: &Path) -> Result<PathBuf, CheckpointError> {
        fs::create_dir_all(bundles).map_err(CheckpointError::io("make the directory", bundles))?;
        remove_unfinished(bundles)?;
        let name = name(self.outcome.step);
        let (unfinished, path) = (
            bundles.join(format!("{UNFINISHED}{name}")),
            bundles.join(name),
        );
        let written = self.write_files(&unfinished, model).and_then(|()| {
            fs::rename(&unfinished, &path).map_err(CheckpointError::io("rename to", &path))
        });
        if let Err(e) = written {
            // What could not be written may not be removed either; that is said first.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(e);
        }
        Ok(path)
    }

    fn write_files(&self, folder: &Path, model: &Path) -> Result<(), CheckpointError> {
        fs::create_dir(folder).map_err(CheckpointError::io("make the directory", folder))?;
        self.checkpoint.write(&folder.join(STATE))?;
        let path = folder.join(BATCH);
        let bytes = batches::encode(&self.batches).map_err(|reason| other(&path, reason))?;
        replace_file(&path, &bytes)?;
        let path = folder.join(OUTCOME);
        let text = serde_json::to_string_pretty(&self.outcome).map_err(|e| other(&path, e))?;
        replace_file(&path, format!("{text}\n").as_bytes())?;
        if model.is_dir() {
            copy_folder(model, &folder.join(MODEL))?;
        }
        Ok(())
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// When a file of it is missing, damaged, or of another format.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::read(&Self::state(folder))?;
        let path = folder.join(OUTCOME);
        let read = |path: &Path, limit| {
            ane_files::read(path, limit).map_err(|e| CheckpointError::io("read", path)(e.into()))
        };
        let outcome: Outcome =
            serde_json::from_slice(&read(&path, LARGEST_OUTCOME)?).map_err(|e| other(&path, e))?;
        if outcome.format != Outcome::FORMAT {
            return Err(CheckpointError::Format {
                path,
                found: outcome.format,
            });
        }
        let path = folder.join(BATCH);
        let limit = ane_device::available_memory().unwrap_or(u64::MAX) / 2;
        let batches =
            batches::decode(&read(&path, limit)?).map_err(|reason| other(&path, reason))?;
        if outcome.batches.len() != batches.len() {
            let (found, expected) = (batches.len(), outcome.batches.len());
            let reason = format!("it has {found} batches, {OUTCOME} speaks of {expected}");
            return Err(other(&path, reason));
        }
        Ok(Self {
            checkpoint,
            batches,
            outcome,
        })
    }

    /// The checkpoint in the bundle at `folder`.
    pub fn state(folder: &Path) -> PathBuf {
        folder.join(STATE)
    }
}

/// Removes all bundles, if there are any.
///
/// # Errors
/// When they cannot be removed.
pub(crate) fn remove_all(bundles: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(bundles) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(CheckpointError::io("remove", bundles)(e))
        }
        _ => Ok(()),
    }
}

/// Removes what writes that were killed have left.
fn remove_unfinished(bundles: &Path) -> Result<(), CheckpointError> {
    for entry in fs::read_dir(bundles).map_err(CheckpointError::io("read", bundles))? {
        let entry = entry.map_err(CheckpointError::io("read", bundles))?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())
                .map_err(CheckpointError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    fs::create_dir(to).map_err(CheckpointError::io("make the directory", to))?;
    for entry in fs::read_dir(from).map_err(CheckpointError::io("read", from))? {
        let entry = entry.map_err(CheckpointError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(CheckpointError::io("copy", &source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
