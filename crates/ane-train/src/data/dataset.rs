//! What a data set is to training: examples by index, as rows of named tensors.

use super::Batch;
use ane_ir::{DType, Shape};
use std::{fmt, io, path::PathBuf};

/// Examples that a model can be trained with.
///
/// What an example is may depend on the epoch, so that augmentation is a function too: the same index and epoch give the
/// same bits, on any thread and after any interruption. Of examples that are blended with each other the batch as a whole does.
pub trait Dataset: Send + Sync + fmt::Debug {
    /// Number of examples.
    fn len(&self) -> usize;
    /// The tensors of an example.
    fn schema(&self) -> Vec<Field>;
    /// Writes the examples, given by index and epoch, into the first rows of `batch`, which was restarted for so many.
    ///
    /// # Errors
    /// When an example cannot be read.
    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError>;

    /// Whether there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor called `name`.
    fn field(&self, name: &str) -> Option<Field> {
        self.schema().into_iter().find(|f| f.name == name)
    }
}

/// An example cannot be read, though the data set was opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot read example {} of `{}`: {source}", u64::from(*example) + 1, path.display())]
pub struct FillError {
    /// Which, from 0.
    pub example: u32,
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A tensor of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub dtype: DType,
    /// Its shape, without the axis of the examples; empty for a single element.
    pub shape: Shape,
    /// Names of the classes, when elements are classes; the index is the class.
    pub classes: Option<Vec<String>>,
}

impl Field {
    /// A tensor of numbers.
    pub fn new(name: &str, dtype: DType, shape: impl Into<Shape>) -> Self {
        Self {
            name: name.to_owned(),
            dtype,
            shape: shape.into(),
            classes: None,
        }
    }

    /// A single class, as an index.
    pub fn class(name: &str, classes: Vec<String>) -> Self {
        Self {
            classes: Some(classes),
            ..Self::new(name, DType::Int32, [])
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.classes {
            Some(classes) => write!(f, "one of {} classes", classes.len()),
            None => write!(f, "{} {:?}", self.dtype, self.shape.dims()),
        }
    }
}
