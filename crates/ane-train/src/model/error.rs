//! What is wrong with a model, and where in it.

use ane_ir::{GraphError, Shape, TypeError};

/// A model could not be built: the fault of whoever wrote or configured it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A layer cannot do what it is asked.
    #[error("{}: {error}", place(path))]
    Layer {
        /// The layer; empty outside of all scopes.
        path: String,
        /// Why.
        error: LayerError,
    },
    /// An op does not take its operands.
    #[error("{}: {error}", place(path))]
    Type {
        /// The layer; empty outside of all scopes.
        path: String,
        /// Why.
        error: TypeError,
    },
    /// A port could not be made.
    #[error("{}: {error}", place(path))]
    Port {
        /// The layer; empty outside of all scopes.
        path: String,
        /// Why.
        error: GraphError,
    },
    /// Two parameters or buffers of the same path.
    #[error("`{path}` is declared twice; give the second layer a name of its own")]
    PathTwice {
        /// The path.
        path: String,
    },
    /// The forward pass is not the same model in training and in inference.
    #[error(
        "`{path}` is declared in only one of training and inference, or with another shape; declare all parameters and buffers in both modes, in the same order"
    )]
    ModesDiffer {
        /// The first parameter or buffer that differs.
        path: String,
    },
    /// Two outputs of the same name.
    #[error("the model has two outputs called `{name}`")]
    OutputTwice {
        /// The name.
        name: String,
    },
    /// An output that is not one row per example.
    #[error("the output `{name}` is {found}; an output has the batch of {batch} as its first axis")]
    OutputShape {
        /// The output.
        name: String,
        /// Its shape.
        found: Shape,
        /// Rows of a batch.
        batch: usize,
    },
    /// An input, a parameter or the batch has no elements.
    #[error("`{name}` is {shape}: every axis has at least one element")]
    Empty {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Shape,
    },
    /// A model without outputs.
    #[error("the model has no outputs")]
    NoOutputs,
}

/// Where in a model: a path, or the whole.
fn place(path: &str) -> &str {
    if path.is_empty() { "the model" } else { path }
}

/// Why a layer cannot do what it is asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// x has too many or too few axes.
    #[error("{layer} takes x as {expected}, found {found}")]
    Rank {
        /// The layer.
        layer: &'static str,
        /// Names of the axes.
        expected: &'static str,
        /// Shape of x.
        found: Shape,
    },
    /// x has another number of channels or features than the layer.
    #[error("{layer} takes {expected} {what}, x is {found}")]
    Features {
        /// The layer.
        layer: &'static str,
        /// `channels` or `features`.
        what: &'static str,
        /// How many the layer was made for.
        expected: usize,
        /// Shape of x.
        found: Shape,
    },
}

impl ModelError {
    /// The same error with its place, unless it has one.
    pub(super) fn at(self, place: &str) -> Self {
        match self {
            Self::Layer { path, error } if path.is_empty() => Self::Layer {
                path: place.to_owned(),
                error,
            },
            Self::Type { path, error } if path.is_empty() => Self::Type {
                path: place.to_owned(),
                error,
            },
            Self::Port { path, error } if path.is_empty() => Self::Port {
                path: place.to_owned(),
                error,
            },
            other => other,
        }
    }
}

impl From<LayerError> for ModelError {
    fn from(error: LayerError) -> Self {
        Self::Layer {
            path: String::new(),
            error,
        }
    }
}

impl From<TypeError> for ModelError {
    fn from(error: TypeError) -> Self {
        Self::Type {
            path: String::new(),
            error,
        }
    }
}

impl From<GraphError> for ModelError {
    fn from(error: GraphError) -> Self {
        Self::Port {
            path: String::new(),
            error,
        }
    }
}
