//! How a command ends that has not failed.

use crate::{
    failure::Failure,
    output::{self, Manner},
};

/// What its exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is done, and well.
    Done,
    /// All is done, and what was found is not as it should be.
    FoundWrong,
    /// The user has stopped it.
    Interrupted,
}

impl Ended {
    /// Of a finding that is not as it should be: an object has it among its fields, in words it is a failure.
    pub(crate) fn found_wrong(failure: Failure) -> Result<Self, Failure> {
        match output::manner() {
            Manner::Object => Ok(Self::FoundWrong),
            _ => Err(failure),
        }
    }

    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::FoundWrong => 1,
            Self::Interrupted => 130,
        }
    }
}
