//! How a run has ended, as its directory says.

use super::RunState;
use serde::{Deserialize, Serialize};

/// How a run has ended: `ending.json`, which is there from then until it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnding {
    /// What the run is since.
    pub state: RunState,
    /// Why, where it is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The code of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl RunEnding {
    /// All of it is done.
    pub fn finished() -> Self {
        Self {
            state: RunState::Finished,
            message: None,
            code: None,
        }
    }

    /// It is done before its end, as nothing came of going on.
    pub fn no_better(epochs: u64) -> Self {
        Self {
            message: Some(format!("no better validation result in {epochs} epochs")),
            ..Self::finished()
        }
    }

    /// It can go on from its last checkpoint, whenever somebody wants.
    pub fn stopped(why: &str) -> Self {
        Self {
            state: RunState::Stopped,
            message: Some(why.to_owned()),
            code: None,
        }
    }
}
