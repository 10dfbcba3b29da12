//! What a file of examples holds, before anything is known of how it is to be learned.

use super::{oddity::Oddity, rows::Rows};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The content of a file, or of a folder.
#[derive(Debug)]
pub struct Raw {
    /// A record per example.
    pub inputs: Rows,
    /// What a record is.
    pub layout: Layout,
    /// What is to be learned of each; none where only inputs were asked for and nothing else is there.
    pub targets: Option<RawTargets>,
    /// What each example weighs, where the file says so.
    pub weights: Option<Vec<f32>>,
    /// Examples that are left out, in order.
    pub dropped: Vec<u32>,
    /// What was taken for the target, where that had to be found out.
    pub label: Option<String>,
    /// Files that are no examples, among those that are.
    pub others: usize,
    /// The file of each example, where it has one of its own.
    pub names: Option<Vec<PathBuf>>,
}

/// What a record is.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Pixels from 0 to 255 of an image.
    Image {
        /// Channels, rows and columns.
        shape: [usize; 3],
        /// Whether the channels of a pixel are beside each other.
        channels_last: bool,
    },
    /// An array of this shape.
    Array(Vec<usize>),
    /// A row of a table, a number each; NaN is missing.
    Table(Vec<RawColumn>),
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawColumn {
    /// Its name.
    pub name: String,
    /// Its place in a record.
    pub at: usize,
    /// Where its cells are texts: these, of which a record has the index.
    pub texts: Option<Vec<String>>,
    /// What is seen of it that may be a mistake.
    pub oddities: Vec<Oddity>,
}

/// What is to be learned.
#[derive(Debug, Clone, PartialEq)]
pub enum RawTargets {
    /// A class each.
    Classes {
        /// Names of the classes.
        names: Vec<String>,
        /// Of every example.
        classes: Vec<u32>,
    },
    /// Numbers, one row per example.
    Values {
        /// What they are called.
        names: Vec<String>,
        /// All rows, one behind the other.
        rows: Vec<f32>,
    },
}

impl Raw {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
