//! How one's own data is to be read: what flags and configuration files say of it.

use crate::data::{Holdout, description::Fit};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// How a file or folder of examples is read and divided. Nothing is what its content decides.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// The column, or the array of an archive, that is to be learned: its name, or its place from 0, from the end where it
    /// is negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether inputs alone are read, whatever else is there: a run that is asked has no use for what is learned.
    #[serde(skip)]
    pub inputs_alone: bool,
    /// The array of an archive that is learned from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether classes or numbers are learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSetting>,
    /// Whether the natural logarithm of the number is learned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
    /// Columns that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Columns of numbers that are names of categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categorical: Vec<String>,
    /// What becomes of cells that are empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Whether the first line of a table names its columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// What stands between the cells of a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// The sign before the decimals of a number in a table; a point unless somebody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// What makes tokens of a text: `byte`, `char`, `bpe:4096`, or the path of a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// Tokens of an example of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// Rows and columns of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Channels of images: 1 is grey, 3 are red, green and blue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// What becomes of images of another size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Whether inputs are brought to mean 0 and standard deviation 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Normalise>,
    /// Examples that the network is judged by at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Held>,
    /// A file of examples that choose the best state, in place of some of the training examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Whether every part has the same share of every class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratify: Option<bool>,
    /// What the examples of a class weigh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// The column, or the array, that says what each example weighs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example_weights: Option<String>,
}

impl DataSettings {
    /// What becomes of images of another size: where a size is asked for, they are brought to it.
    pub fn image_fit(&self) -> Fit {
        let cropped = self.size.map_or(Fit::Exact, |_| Fit::Crop);
        self.fit.unwrap_or(cropped)
    }

    /// The sign before the decimals of a number in a table.
    pub(super) fn decimal_sign(&self) -> char {
        self.decimal.unwrap_or('.')
    }

    /// Whether all of it is left to the content.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskSetting {
    /// One class of several.
    Classes,
    /// Numbers.
    Values,
}

/// What becomes of cells that are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// They are an error.
    #[default]
    Refuse,
    /// Their rows are left out.
    Drop,
    /// The mean of the training examples stands for them.
    Mean,
    /// 0 stands for them, before anything is taken off.
    Zero,
}

impl Missing {
    /// Every rule, by name.
    pub const ALL: [(&str, Self); 4] = [
        ("refuse", Self::Refuse),
        ("drop", Self::Drop),
        ("mean", Self::Mean),
        ("zero", Self::Zero),
    ];
}

/// What becomes of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Mean 0 and standard deviation 1 over the training examples: per column, per channel of images, or over all elements
    /// of arrays.
    Standard,
    /// Nothing; of pixels, division by 255.
    None,
}

/// Examples that are held out: some of those there are, or a file of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Held {
    /// So many, or this share; a count of 0 holds nothing out.
    Some(Holdout),
    /// Those of a file.
    File(PathBuf),
}

impl std::str::FromStr for Held {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(holdout) => Ok(Self::Some(holdout)),
            Err(_) if text.parse::<f64>().is_ok() => Err(
                "expected a number of examples, a share between 0 and 1, or a file; 0 holds none out"
                    .to_owned(),
            ),
            Err(_) => Ok(Self::File(text.into())),
        }
    }
}

/// What the examples of a class weigh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// Classes weigh the same in all, however many examples each has: n / (classes · examples of the class).
    Balanced(Balanced),
    /// By name; a class that is not named weighs 1.
    Named(BTreeMap<String, f32>),
}

/// The word for balanced weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balanced {
    /// See [`ClassWeights::Balanced`].
    Balanced,
}
