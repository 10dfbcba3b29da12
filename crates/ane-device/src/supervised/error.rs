//! What can go wrong with a device in a child process.

use std::{io, path::PathBuf, process::ExitStatus};

/// The worker of a supervised device is gone, late, or says that its device failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisedError {
    /// The worker cannot be started.
    #[error("cannot start the worker `{}` of `{device}`", program.display())]
    Spawn {
        /// The device it was to run.
        device: &'static str,
        /// The command.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The worker ended by itself.
    #[error("the worker of `{device}` ended during {during}: {status}")]
    Exited {
        /// The device.
        device: &'static str,
        /// What it was asked to do.
        during: &'static str,
        /// Its exit code or signal.
        status: ExitStatus,
    },
    /// The worker did not answer in time and was killed.
    #[error(
        "the worker of `{device}` took more than {seconds} s for {during} and was killed; a longer deadline can be set"
    )]
    Deadline {
        /// The device.
        device: &'static str,
        /// What it was asked to do.
        during: &'static str,
        /// The time it had.
        seconds: f64,
    },
    /// The worker's device answered with an error.
    #[error("`{device}` failed at {during}: {message}")]
    Failed {
        /// The device.
        device: &'static str,
        /// What it was asked to do.
        during: &'static str,
        /// The error with its causes.
        message: String,
        /// Whether a fresh start may cure it.
        fault: bool,
    },
    /// Two runs of a program gave different results.
    #[error(
        "`{device}` computed output `{port}` twice and {bytes} bytes differ: its results cannot be trusted"
    )]
    Differs {
        /// The device.
        device: &'static str,
        /// The first output that differs.
        port: String,
        /// How many of its bytes do.
        bytes: usize,
    },
    /// A worker that was started again opened something else than the first one did.
    #[error(
        "`{device}` was {first} at first, and a worker that was started again has {now}: results would not be those of one device"
    )]
    Changed {
        /// The device.
        device: &'static str,
        /// Target and notes of the first opening.
        first: String,
        /// Target and notes of the latest.
        now: String,
    },
    /// An earlier fault left the device without its programs and state.
    #[error("`{device}` is lost since an earlier fault ({reason}); it has to recover first")]
    Lost {
        /// The device.
        device: &'static str,
        /// The earlier fault.
        reason: String,
    },
    /// The other side says something that does not belong to the protocol.
    #[error(
        "the worker of `{device}` does not keep to the protocol: {reason}; are both of the same version?"
    )]
    Protocol {
        /// The device.
        device: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// The system has no shared memory left.
    #[error(
        "no {needed} bytes of memory to share with the worker in `{}`; free space there or set {} to another directory",
        directory.display(),
        super::MEMORY_VARIABLE
    )]
    Memory {
        /// What was needed.
        needed: u64,
        /// Where.
        directory: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The worker was started by hand.
    #[error(
        "a worker is started by the program that supervises it: its standard input is no socket"
    )]
    NotSupervised(#[source] io::Error),
}

impl SupervisedError {
    /// Whether a fresh start of the worker may cure it.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Exited { .. }
            | Self::Deadline { .. }
            | Self::Differs { .. }
            | Self::Changed { .. }
            | Self::Lost { .. } => true,
            Self::Failed { fault, .. } => *fault,
            Self::Spawn { .. }
            | Self::Protocol { .. }
            | Self::Memory { .. }
            | Self::NotSupervised(_) => false,
        }
    }
}
