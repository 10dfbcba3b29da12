//! Why a step cannot be compiled or run.

use crate::{
    data::FillError,
    memory::OutOfMemory,
    model::ModelError,
    objective::ObjectiveError,
    stage::{NotOnEngine, StageError, list},
    step::StepError,
    store::StateDiffers,
};
use ane_device::DeviceError;
use ane_ir::{Target, TensorType, passes::PassError};
use ane_mil::Violation;

/// A step cannot be compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// The step could not be built.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A pass failed: our bug.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The target forbids the program.
    #[error("the step breaks {} of {target}'s rules: {}", .violations.len(), list(.violations))]
    Illegal {
        /// The target.
        target: Target,
        /// Every broken rule.
        violations: Vec<Violation>,
    },
    /// A language model's program could not be built.
    #[error(transparent)]
    Decoder(Box<ModelError>),
    /// The step could not be cut into stages: our bug.
    #[error(transparent)]
    Stage(StageError),
    /// More would run on the host than is allowed.
    #[error(transparent)]
    NotOnEngine(#[from] NotOnEngine),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device failed again and again.
    #[error(
        "the device failed {faults} times in a row without getting further, though it was started again each time"
    )]
    GaveUp {
        /// How often.
        faults: u32,
        /// What it failed with at last.
        source: DeviceError,
    },
    /// What a forward program leaves is not what its backward program takes: our bug.
    #[error(
        "the forward program leaves `{port}` as {forward}, the backward program takes {backward}"
    )]
    Residual {
        /// The port of both.
        port: String,
        /// Its type in the forward program.
        forward: TensorType,
        /// Its type in the backward program.
        backward: TensorType,
    },
    /// A port that a program does not have.
    #[error("the program has no port `{port}`")]
    Port {
        /// The name.
        port: String,
    },
    /// An integer that the engine's type does not hold.
    #[error(
        "{found}, given for `{port}`, is beyond the range of int32, in which programs hold integers"
    )]
    Integer {
        /// The port.
        port: String,
        /// The integer.
        found: i64,
    },
    /// There is not enough memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The data set cannot be read any more.
    #[error(transparent)]
    Data(#[from] FillError),
    /// Stored state does not fit the model.
    #[error(transparent)]
    State(#[from] StateDiffers),
    /// The targets of a batch are not what the losses take.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// A batch lacks a tensor, or has one of another type or size.
    #[error("a batch has {found} as `{name}`, the program takes {expected}")]
    Batch {
        /// The tensor.
        name: String,
        /// What the program takes.
        expected: TensorType,
        /// What the batch has.
        found: String,
    },
    /// What an update is told to do contradicts the plan.
    #[error("the fused plan cannot {what}: {reason}; use --plan split")]
    NotFused {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A group of parameters wants state that the trainer was not made for.
    #[error("`{optimizer}` keeps {}, which this trainer has no memory for; make it for an optimizer that does", .state.join(", "))]
    NotKept {
        /// Who wants it.
        optimizer: &'static str,
        /// What it keeps.
        state: &'static [&'static str],
    },
    /// A weight of another size was given.
    #[error("`{path}` has {expected} values, found {found}")]
    Weight {
        /// Its path.
        path: String,
        /// How many values it has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
}

impl From<StageError> for TrainerError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Illegal { target, violations } => Self::Illegal { target, violations },
            StageError::Pass(e) => Self::Pass(e),
            other => Self::Stage(other),
        }
    }
}
