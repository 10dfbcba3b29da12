//! Models that are in files, such as of PyTorch, and that somebody above this crate reads.

use super::Examples;
use crate::model::{Model, ModelError};
use ane_ir::DType;
use std::{fmt, io, path::Path, sync::Arc};

/// What builds the model of a file.
pub trait ModelSource: Send + Sync {
    /// The classifier for examples of a data set: input `x`, output `logits` [B, classes]; `dtype` holds all real
    /// numbers.
    ///
    /// # Errors
    /// When the examples or the batch are not what it was made for; when it asks for what no engine does.
    fn build(&self, dtype: DType, batch: usize, examples: &Examples) -> Result<Model, ModelError>;
    /// Writes into a directory what it takes to build the model again, without what it was first made of.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self, directory: &Path) -> io::Result<()>;
}

/// A model of a file, by the name that it was asked for.
#[derive(Clone)]
pub struct Imported {
    name: String,
    source: Arc<dyn ModelSource>,
}

impl Imported {
    /// What `name` asks for, such as `my_model.py:Net`.
    pub fn new(name: &str, source: impl ModelSource + 'static) -> Self {
        Self {
            name: name.to_owned(),
            source: Arc::new(source),
        }
    }

    /// What it was asked for by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As [`ModelSource::save`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        self.source.save(directory)
    }

    pub(super) fn build(
        &self,
        dtype: DType,
        batch: usize,
        examples: &Examples,
    ) -> Result<Model, ModelError> {
        self.source.build(dtype, batch, examples)
    }
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Imported").field(&self.name).finish()
    }
}

impl PartialEq for Imported {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Whether a model is asked for by a file: `my_model.py:Net`, `net.pt2`, `net.keras`, `layers.toml`.
pub fn is_model_file(asked: &str) -> bool {
    asked.contains(".py:")
        || [".py", ".pt2", ".keras", ".toml"]
            .iter()
            .any(|end| asked.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_names_and_widths() {
        for file in [
            "a.py:Net",
            "d/a.py:Net(hidden=3)",
            "a.py",
            "net.pt2",
            "net.keras",
            "net.toml",
        ] {
            assert!(is_model_file(file), "{file}");
        }
        for other in ["mlp", "784-128-10:gelu", "resnet8", "py"] {
            assert!(!is_model_file(other), "{other}");
        }
    }
}
