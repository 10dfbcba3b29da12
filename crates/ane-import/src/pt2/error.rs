//! Why a `.pt2` file cannot be taken.

use ane_files::ReadError;
use std::path::PathBuf;

/// A file is not what `torch.export.save` of PyTorch 2.15 writes, or asks for what cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pt2Error {
    /// The path leads to nothing that can be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ReadError,
    },
    /// No zip, or a damaged one.
    #[error("it is no .pt2 file, or it is damaged: {error}")]
    Zip {
        /// What the reader of zips says.
        error: String,
    },
    /// A part is not there.
    #[error("it is no .pt2 file, or it is damaged: it has no `{name}`")]
    Missing {
        /// The part.
        name: String,
    },
    /// A part is compressed, which PyTorch does not do.
    #[error("its part `{name}` is compressed; PyTorch stores it as it is")]
    Compressed {
        /// The part.
        name: String,
    },
    /// A part is larger than it may be.
    #[error("its part `{name}` has {found} bytes, expected at most {limit}")]
    TooLarge {
        /// The part.
        name: String,
        /// Its bytes.
        found: u64,
        /// Most that are read.
        limit: u64,
    },
    /// A text that is not what PyTorch writes.
    #[error("its part `{name}` cannot be read: {error}")]
    Json {
        /// The part.
        name: String,
        /// Where and why.
        error: String,
    },
    /// A version that is not known.
    #[error("it is of schema {found} (torch {torch}), and schema 8 is what is read here")]
    Schema {
        /// Its schema.
        found: u64,
        /// The version of PyTorch that wrote it.
        torch: String,
    },
    /// Weights that only running a program would give.
    #[error("its weights are pickled, and no pickle is opened here")]
    Pickled,
    /// A weight whose bytes are not what its description says.
    #[error("the tensor `{path}` {reason}")]
    Tensor {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The graph contradicts itself.
    #[error("its graph is damaged: {what}")]
    Malformed {
        /// How.
        what: String,
    },
    /// Sizes that are open and are not the batch.
    #[error("its sizes depend on {what}; only the batch may be open")]
    Dynamic {
        /// On what.
        what: String,
    },
    /// The graph has been through `run_decompositions` or is a joint one.
    #[error("it has {what}: it was decomposed, or it is a joint graph")]
    Decomposed {
        /// What shows it.
        what: &'static str,
    },
    /// It does not take one tensor.
    #[error("it takes something else than one tensor of examples")]
    Inputs,
}

impl Pt2Error {
    /// What the user can do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Read { .. } => "pass a file that torch.export.save wrote",
            Self::Dynamic { .. } => {
                "export it again with a fixed shape, or with torch.export.Dim for the first axis alone"
            }
            Self::Decomposed { .. } => {
                "save what torch.export.export(model.train(), …) gives, before run_decompositions"
            }
            Self::Inputs => {
                "export a model whose forward takes the batch of examples and nothing else"
            }
            _ => "save it again with torch.export.save of torch ≥ 2.15",
        }
    }
}
