//! Why a model cannot become a file.

use ane_ir::{DType, GraphError, TypeError, passes::PassError};
use ane_mil::BlobError;
use ane_train::model::ModelError;
use std::{io, path::PathBuf};

/// Why a model cannot become a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The model cannot be built at any batch size.
    #[error("the model cannot be built for one example after the other")]
    Build(#[from] ModelError),
    /// The model has no result besides its loss.
    #[error("the model computes a loss and has no other result that a file could have")]
    NoOutput,
    /// Weights are missing, or of another size.
    #[error("`{path}` is expected to have {expected} values, found {found}")]
    Weight {
        /// Path of the parameter or buffer.
        path: String,
        /// Values that the model has.
        expected: usize,
        /// Values that were given.
        found: usize,
    },
    /// The format has no word for an op.
    #[error("{format} has no counterpart of `{op}`{place}: {reason}")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// MIL name of the op.
        op: &'static str,
        /// Where it is, as a suffix.
        place: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The format has no such elements.
    #[error("{format} has no tensors of {dtype} where `{name}` wants them")]
    Elements {
        /// Name of the format.
        format: &'static str,
        /// Their type.
        dtype: DType,
        /// The tensor.
        name: String,
    },
    /// Two tensors would have one name.
    #[error("two tensors of the model are called `{name}`")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// What is asked for does not suit the examples.
    #[error("{asked} is for {wanted}; this model takes {found}")]
    Examples {
        /// What was asked for.
        asked: &'static str,
        /// What that wants.
        wanted: &'static str,
        /// What there is.
        found: String,
    },
    /// A file cannot be written or read.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was written is not what was to be written.
    #[error("`{file}`, read again after it was written, differs: {difference}")]
    ReadBack {
        /// The file.
        file: String,
        /// What is other than it should be.
        difference: String,
    },
    /// A graph was built that does not type: our bug.
    #[error("the graph that was made for the file is no graph")]
    Graph(#[from] GraphError),
    /// A pass failed: our bug.
    #[error("the graph could not be made simpler")]
    Pass(#[from] PassError),
    /// A weight file could not be written or read: our bug.
    #[error("the weight file is none")]
    Blob(#[from] BlobError),
}

impl From<TypeError> for ExportError {
    fn from(e: TypeError) -> Self {
        Self::Graph(e.into())
    }
}

impl ExportError {
    /// What the user can do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Build(_) => "export another run, or pass --format safetensors",
            Self::NoOutput | Self::Unsupported { .. } | Self::Elements { .. } => {
                "pass --format safetensors or numpy for the weights alone"
            }
            Self::Weight { .. } => "export another checkpoint of the run",
            Self::NameTwice { .. } => "pass --format safetensors for the weights alone",
            Self::Examples { .. } => "leave that flag out",
            Self::Io { .. } => "pass another --output, where files can be written",
            Self::ReadBack { .. } => "check the disk, and export again",
            Self::Graph(_) | Self::Pass(_) | Self::Blob(_) => {
                "this is a bug of ane-trainer; --format safetensors has the weights alone"
            }
        }
    }
}
