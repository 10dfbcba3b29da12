//! Why a model of another framework cannot be taken.

use ane_ir::{GraphError, PartError, Place, TypeError, autodiff::VjpError};

/// A graph or a configuration cannot be imported.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A text that is not what it should be.
    #[error("{what} cannot be read: {error}")]
    Json {
        /// What the text should be.
        what: &'static str,
        /// Why it is not.
        error: String,
    },
    /// An op without a lowering.
    #[error(
        "there is no Neural Engine form of {op}{}; write the model without it, or leave this part outside of the compiled function", .place.suffix()
    )]
    Op {
        /// The overload.
        op: String,
        /// Where the user wrote it.
        place: Place,
    },
    /// An op that has a lowering, called in a way that has none.
    #[error("{op} is not supported with {what}{}", .place.suffix())]
    Unsupported {
        /// The overload.
        op: String,
        /// What is asked of it.
        what: String,
        /// Where the user wrote it.
        place: Place,
    },
    /// An argument that the schema does not allow, or that names nothing.
    #[error("{op}: the argument `{argument}` should be {expected}{}", .place.suffix())]
    Argument {
        /// The overload.
        op: String,
        /// Its argument.
        argument: String,
        /// What it should be.
        expected: &'static str,
        /// Where the user wrote it.
        place: Place,
    },
    /// A lowering gave something else than PyTorch says the op gives: our bug.
    #[error("{op}: PyTorch says {expected}, the lowering gives {found}{}", .place.suffix())]
    Result {
        /// The overload.
        op: String,
        /// PyTorch's type.
        expected: String,
        /// Ours.
        found: String,
        /// Where the user wrote it.
        place: Place,
    },
    /// A result of the graph that is neither tensor nor number.
    #[error("result {index} of {graph} is {found}, which no program returns")]
    Output {
        /// The graph.
        graph: String,
        /// Which result.
        index: usize,
        /// What it is.
        found: String,
    },
    /// A part of a model does not fit.
    #[error(transparent)]
    Model(#[from] ane_train::model::ModelError),
    /// An op of ours does not take its operands.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A port could not be made.
    #[error(transparent)]
    Port(#[from] GraphError),
    /// A part could not be put in: our bug.
    #[error(transparent)]
    Part(#[from] PartError),
    /// A gradient of an op could not be built.
    #[error(transparent)]
    Vjp(#[from] VjpError),
}
