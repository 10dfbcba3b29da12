//! How a command ends that has not failed.

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
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::FoundWrong => 1,
            Self::Interrupted => 130,
        }
    }
}
