//! What a run directory says of its run, for who looks at many.

use super::RunDir;
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// Most bytes of a file that is looked at.
const LARGEST: u64 = 64 << 20;

/// What a run directory says.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The directory.
    pub run: RunDir,
    /// Where the run stands.
    pub state: RunState,
    /// Its configuration.
    pub config: Map<String, Value>,
    /// The last epoch's metrics.
    pub last: Option<Map<String, Value>>,
    /// What it came to on the test set.
    pub result: Option<Map<String, Value>>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// A process trains it.
    Running,
    /// It is done.
    Ended,
    /// It can go on from its last checkpoint.
    Interrupted,
    /// It ended before its first checkpoint.
    Begun,
}

impl RunState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
            Self::Begun => "begun",
        }
    }
}

impl Summary {
    /// Reads a run directory; none where no run is in it.
    pub fn read(root: &Path) -> Option<Self> {
        let run = RunDir::open(root);
        let config = object(&run.config())?;
        let result = object(&run.result());
        let metrics = ane_files::read(&run.metrics(), LARGEST).unwrap_or_default();
        let metrics = String::from_utf8_lossy(&metrics);
        // A line that is being written is no JSON yet.
        let mut lines = metrics.lines().rev();
        let last = lines.find_map(|line| match serde_json::from_str(line) {
            Ok(Value::Object(last)) => Some(last),
            _ => None,
        });
        let state = match (run.trained_by(), &result) {
            (Some(_), _) => RunState::Running,
            (None, Some(_)) => RunState::Ended,
            (None, None) if run.checkpoint("last").is_file() => RunState::Interrupted,
            (None, None) => RunState::Begun,
        };
        Some(Self {
            run,
            state,
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
