//! What a run directory says of its run, for who looks at many.

use super::{RunDir, RunEnding};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fs, path::Path, time::SystemTime};

/// Most bytes of a file that is looked at.
const LARGEST: u64 = 64 << 20;

/// What a run directory says.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The directory.
    pub run: RunDir,
    /// Where the run stands.
    pub state: RunState,
    /// How it has ended, where it says so.
    pub ending: Option<RunEnding>,
    /// When it was begun, or went on for the last time.
    pub begun: Option<SystemTime>,
    /// Its configuration.
    pub config: Map<String, Value>,
    /// The last epoch's metrics.
    pub last: Option<Map<String, Value>>,
    /// What it came to on the test set.
    pub result: Option<Map<String, Value>>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process trains it.
    Running,
    /// It is done, all of it or as much as made it better.
    Finished,
    /// It was asked to stop, or its time was over: it can go on from its last checkpoint.
    Stopped,
    /// Its numbers went beyond all bounds.
    Diverged,
    /// An error has ended it, or its process is gone without a word.
    Failed,
}

impl RunState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }

    /// Of a run that nobody trains, by how it ended and by whether it has come to something.
    fn of(ending: Option<&RunEnding>, has_result: bool) -> Self {
        match ending.map(|e| e.state) {
            Some(Self::Running) => Self::Failed,
            Some(state) => state,
            // Who trains without the command line says only what came of it.
            None if has_result => Self::Finished,
            None => Self::Failed,
        }
    }
}

impl Summary {
    /// Reads a run directory; none where no run is in it.
    pub fn read(root: &Path) -> Option<Self> {
        let run = RunDir::open(root);
        // Asked first: what is written until the end is then read after it.
        let trained_by = run.trained_by();
        let config = object(&run.config())?;
        let result = object(&run.result());
        let begun = fs::metadata(run.config()).and_then(|m| m.modified()).ok();
        let ending = ane_files::read(&run.ending(), LARGEST).ok();
        let ending: Option<RunEnding> = ending.and_then(|e| serde_json::from_slice(&e).ok());
        let metrics = ane_files::read(&run.metrics(), LARGEST).unwrap_or_default();
        let metrics = String::from_utf8_lossy(&metrics);
        // A line that is being written is no JSON yet.
        let mut lines = metrics.lines().rev();
        let last = lines.find_map(|line| match serde_json::from_str(line) {
            Ok(Value::Object(last)) => Some(last),
            _ => None,
        });
        let state = match trained_by {
            Some(_) => RunState::Running,
            None => RunState::of(ending.as_ref(), run.result().is_file()),
        };
        Some(Self {
            run,
            state,
            ending: ending.filter(|_| trained_by.is_none()),
            begun,
            config,
            last,
            result,
        })
    }

    /// The runs in a folder, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(folder: &Path) -> std::io::Result<Vec<Self>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths.iter().filter_map(|path| Self::read(path)).collect())
    }

    /// The name of its directory.
    pub fn name(&self) -> String {
        let name = self.run.root().file_name();
        let name = name.map(|n| n.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.run.root().display().to_string())
    }

    /// A text of its configuration.
    pub fn setting(&self, name: &str) -> String {
        match self.config.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// Epochs that are done, and those of the whole run.
    pub fn epochs(&self) -> (u64, u64) {
        let number = |map: Option<&Map<String, Value>>, name: &str| {
            map.and_then(|m| m.get(name)?.as_u64()).unwrap_or(0)
        };
        (
            number(self.last.as_ref(), "epoch"),
            number(Some(&self.config), "epochs"),
        )
    }

    /// What it came to on the test set: the metric that is there beside the loss, or the loss.
    pub fn score(&self) -> Option<(String, f64)> {
        let result = self.result.as_ref()?;
        let number = |(name, value): (&String, &Value)| Some((name.clone(), value.as_f64()?));
        let all: Vec<(String, f64)> = result.iter().filter_map(number).collect();
        let metric = all.iter().find(|(n, _)| n != "loss" && n != "examples");
        metric.or(all.iter().find(|(n, _)| n == "loss")).cloned()
    }
}

/// A file that holds a JSON object.
fn object(path: &Path) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&ane_files::read(path, LARGEST).ok()?) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_what_its_files_say_whatever_process_has_its_number_now() {
        let dir = tempfile::tempdir().unwrap();
        let state = || Summary::read(dir.path()).map(|run| run.state);
        assert_eq!(state(), None);
        let run = RunDir::create(dir.path()).unwrap();
        run.write_json("config.json", &serde_json::json!({"epochs": 3}))
            .unwrap();
        run.end(&RunEnding::stopped("interrupted")).unwrap();
        assert_eq!(state(), Some(RunState::Running));
        drop(run);
        assert_eq!(state(), Some(RunState::Stopped));
        let run = RunDir::open(dir.path());
        run.remove_result().unwrap();
        assert_eq!(state(), Some(RunState::Failed));
        // What a killed run has left, whose number this process has by chance.
        let own = std::process::id().to_string();
        fs::write(dir.path().join(".lock"), own).unwrap();
        assert_eq!(state(), Some(RunState::Failed));
        run.write_json("result.json", &serde_json::json!(null))
            .unwrap();
        assert_eq!(state(), Some(RunState::Finished));
        let failed = RunEnding {
            state: RunState::Diverged,
            message: Some("diverged".into()),
            code: Some("E0601".into()),
        };
        run.end(&failed).unwrap();
        let read = Summary::read(dir.path()).unwrap();
        assert_eq!(
            (read.state, read.ending),
            (RunState::Diverged, Some(failed))
        );
    }
}
