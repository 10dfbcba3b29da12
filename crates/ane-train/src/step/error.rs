//! Why a step cannot be built.

use crate::{lowering::LoweringError, objective::ObjectiveError};
use ane_ir::{GraphError, PartError, TypeError, autodiff::VjpError};

/// A step could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The update cannot be part of the program.
    #[error("`{optimizer}` cannot be fused: {reason}; use --plan split")]
    Fusion {
        /// The optimizer.
        optimizer: &'static str,
        /// Why.
        reason: String,
    },
    /// The host makes a gradient, which an update on the engine would wait for.
    #[error(
        "the update of `{parameter}` cannot be fused: `{op}` at {place}, which its gradient comes from, runs on the host: {reason}; use --plan split"
    )]
    HostGradient {
        /// The parameter.
        parameter: String,
        /// The op on the host.
        op: &'static str,
        /// Where the op comes from.
        place: String,
        /// Why it is there.
        reason: String,
    },
    /// Every parameter is frozen, or there is none.
    #[error("nothing of model `{model}` is trained: all of its {parameters} parameters are frozen")]
    NothingTrains {
        /// The model.
        model: String,
        /// How many parameters it has.
        parameters: usize,
    },
    /// A parameter that the loss does not depend on.
    #[error("no path leads from the parameter `{parameter}` to the loss; freeze it, or use it")]
    Unused {
        /// Its path.
        parameter: String,
    },
    /// Convolutions cannot be lowered as it is asked for.
    #[error(transparent)]
    Lowering(#[from] LoweringError),
    /// The objective does not fit the model.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// A node did not type: a loss that does not take what it is given, or our bug.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A port could not be made: an output of the model has the name of one of the step's.
    #[error(transparent)]
    Port(#[from] GraphError),
    /// A part could not be taken out: our bug.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The gradient could not be built.
    #[error(transparent)]
    Gradient(#[from] VjpError),
}
