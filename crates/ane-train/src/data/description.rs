//! What the examples of a data set are, down to the numbers: how an input is made of what a file holds, and what an output
//! means.
//!
//! It is kept with a run, in its checkpoints and in what it is exported as, so that new examples become inputs exactly as
//! those did that the run has learned from, without the data set.

use crate::models::{Examples, Outputs};
use ane_ir::Shape;
use ane_text::TokenizerRecord;
use serde::{Deserialize, Serialize};

/// What the examples of a data set are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Its name, which a run is called after.
    pub name: String,
    /// What it is called in sentences.
    pub title: String,
    /// How an input is made.
    pub input: Input,
    /// What an output means.
    pub target: Target,
    /// What tells the training set from another that has the same shape, where it is one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// How an input is made of what a file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Input {
    /// Pixels from 0 to 255: each becomes (pixel / 255 − mean) / std.
    Image {
        /// Channels, rows and columns; 1 channel is grey, 3 are red, green and blue.
        shape: [usize; 3],
        /// One for all channels, or one for each.
        scaling: Scaling,
        /// What becomes of a picture of another size.
        #[serde(default)]
        fit: Fit,
    },
    /// Numbers: each becomes (x − mean) / std.
    Array {
        /// Shape of an example.
        shape: Vec<usize>,
        /// One for all elements, or one for each element of the first axis.
        scaling: Scaling,
    },
    /// A row of a table, whose columns become inputs one after the other.
    Table {
        /// The columns, in the order of the inputs.
        columns: Vec<Column>,
    },
    /// So many tokens of a text, each with its place.
    Tokens {
        /// Tokens of an example.
        context: usize,
        /// What makes tokens of a text.
        tokenizer: TokenizerRecord,
    },
}

impl Input {
    /// What it is made of, for people.
    pub fn kind(&self) -> String {
        match self {
            Self::Image {
                shape: [channels, rows, columns],
                ..
            } => {
                let colour = if *channels == 1 { "grey" } else { "coloured" };
                format!("{colour} pictures of {rows} rows and {columns} columns")
            }
            Self::Array { shape, .. } => format!("arrays of the shape {shape:?}"),
            Self::Table { columns } => format!("tables with {} columns", columns.len()),
            Self::Tokens { context, .. } => format!("texts, {context} tokens at a time"),
        }
    }
}

/// What values are brought to: (x − mean) / std.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// What is taken off.
    pub mean: Vec<f32>,
    /// What the rest is divided by; never 0.
    pub std: Vec<f32>,
}

impl Scaling {
    /// The same for all values.
    pub fn uniform(mean: f32, std: f32) -> Self {
        Self {
            mean: vec![mean],
            std: vec![std],
        }
    }

    /// Mean and standard deviation of the group `i`, where one for all stands for every group.
    pub fn of(&self, i: usize) -> (f32, f32) {
        let pick = |x: &[f32]| x[if x.len() == 1 { 0 } else { i }];
        (pick(&self.mean), pick(&self.std))
    }
}

/// What becomes of a picture that has another size than an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It is refused.
    #[default]
    Exact,
    /// It is stretched, each side by itself.
    Stretch,
    /// It is scaled until it covers the input, and what lies over is cut off evenly.
    Crop,
    /// It is scaled until it fits into the input, and what is left is black.
    Pad,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells become.
    pub kind: ColumnKind,
}

/// What the cells of a column become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ColumnKind {
    /// One input: (x − mean) / std.
    Number {
        /// What is taken off.
        mean: f32,
        /// What the rest is divided by; never 0.
        std: f32,
        /// What stands for a cell that is empty; without it such a row is refused.
        #[serde(default)]
        missing: Option<f32>,
    },
    /// An input per value: 1 where the cell has it, otherwise 0.
    Category {
        /// The values that training examples have, in order; a cell with another one is 0 everywhere.
        values: Vec<String>,
    },
}

impl ColumnKind {
    /// How many inputs it becomes.
    pub fn width(&self) -> usize {
        match self {
            Self::Number { .. } => 1,
            Self::Category { values } => values.len(),
        }
    }
}

/// What an output means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// One class of several: an output per class.
    Classes {
        /// Their names, in order.
        names: Vec<String>,
    },
    /// Numbers: an output each.
    Values {
        /// What each is.
        values: Vec<Quantity>,
    },
    /// The token after each token of an example.
    Tokens {
        /// Tokens that there are.
        count: usize,
    },
}

/// A number that a model is to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// Its name.
    pub name: String,
    /// Whether the model says its natural logarithm.
    #[serde(default)]
    pub log: bool,
    /// Mean over the training examples, after the logarithm; the model says (x − mean) / std.
    pub mean: f32,
    /// Standard deviation over the training examples, after the logarithm; never 0.
    pub std: f32,
}

impl Quantity {
    /// What the model is to say for `x`.
    pub fn to_output(&self, x: f32) -> f32 {
        let x = if self.log { x.ln() } else { x };
        (x - self.mean) / self.std
    }

    /// The number that an output of the model stands for.
    pub fn from_output(&self, y: f32) -> f32 {
        let x = y * self.std + self.mean;
        if self.log { x.exp() } else { x }
    }
}

impl Description {
    /// Shape of an input, without the axis of the examples.
    pub fn shape(&self) -> Vec<usize> {
        match &self.input {
            Input::Image { shape, .. } => shape.to_vec(),
            Input::Array { shape, .. } => shape.clone(),
            Input::Table { columns } => vec![columns.iter().map(|c| c.kind.width()).sum()],
            Input::Tokens { context, .. } => vec![*context],
        }
    }

    /// What a model is built for.
    pub fn examples(&self) -> Examples {
        Examples {
            shape: Shape::new(&self.shape()),
            outputs: match &self.target {
                Target::Classes { names } => Outputs::Classes(names.len()),
                Target::Values { values } => Outputs::Values(values.len()),
                Target::Tokens { count } => Outputs::Tokens(*count),
            },
        }
    }

    /// What 1 is in each output, in the unit of what is learned: a metric of the outputs times this is one of the data, of
    /// its logarithm where that is learned. None where outputs are scores.
    pub fn units(&self) -> Vec<f32> {
        match &self.target {
            Target::Classes { .. } | Target::Tokens { .. } => Vec::new(),
            Target::Values { values } => values.iter().map(|v| v.std).collect(),
        }
    }

    /// Names of the classes; none where outputs are numbers.
    pub fn class_names(&self) -> Option<&[String]> {
        match &self.target {
            Target::Classes { names } => Some(names),
            Target::Values { .. } | Target::Tokens { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Description {
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
        };
        Description {
            name: "diamonds".into(),
            title: "diamonds".into(),
            input: Input::Table {
                columns: vec![
                    column(
                        "carat",
                        ColumnKind::Number {
                            mean: 0.8,
                            std: 0.5,
                            missing: None,
                        },
                    ),
                    column(
                        "cut",
                        ColumnKind::Category {
                            values: vec!["Fair".into(), "Good".into(), "Ideal".into()],
                        },
                    ),
                ],
            },
            target: Target::Values {
                values: vec![Quantity {
                    name: "price".into(),
                    log: true,
                    mean: 7.5,
                    std: 2.0,
                }],
            },
            fingerprint: None,
        }
    }

    #[test]
    fn a_table_has_an_input_per_number_and_one_per_value_of_a_category() {
        let examples = table().examples();
        assert_eq!(examples.shape.dims(), [4]);
        assert_eq!(examples.outputs, Outputs::Values(1));
    }

    #[test]
    fn a_quantity_comes_back_from_the_output_that_stands_for_it() {
        let Target::Values { values } = table().target else {
            panic!("diamonds have a price")
        };
        let y = values[0].to_output(18_823.0);
        assert!((y - 1.1714).abs() < 1e-3, "{y}");
        assert!((values[0].from_output(y) - 18_823.0).abs() < 1.0);
    }

    #[test]
    fn a_description_is_stored_and_read_back() {
        let text = serde_json::to_string(&table()).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), table());
        assert!(text.contains(r#""kind":"category""#), "{text}");
    }
}
