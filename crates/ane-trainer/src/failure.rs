//! Errors at the edge: what went wrong, why, and what to do.

use crate::code::Code;
use ane_device::{AppleError, DeviceError, SupervisedError};
use ane_export::ExportError;
use ane_train::{
    TrainerError,
    checkpoint::CheckpointError,
    config::ConfigError,
    data::{DataError, OwnDataError, own::Problem},
    fit::FitError,
    run_dir::{RunEnding, RunState},
    step::StepError,
};
use clap::error::ErrorKind as Refused;
use miette::Diagnostic;
use std::{error::Error, io::ErrorKind};

/// What to do where a device cannot be opened.
const OTHER_DEVICE: &str = "leave --device out to take the best that can be opened here; `ane-trainer devices` says why others cannot";

/// A command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: Box<dyn Error + Send + Sync>,
    help: Option<String>,
    usage: bool,
    code: Option<Code>,
    /// Whether the result that was printed before has it among its fields.
    is_in_result: bool,
}

/// The message of something that no library reports.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

/// What a library's error means here.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Because {
    message: String,
    source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A failure with advice.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            cause: Box::new(Message(message.into())),
            help: Some(help.into()),
            usage: false,
            code: None,
            is_in_result: false,
        }
    }

    /// A finding that is not as it should be, which the fields of the printed result say too: words tell it, no object.
    pub(crate) fn found(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            is_in_result: true,
            ..Self::new(message, help)
        }
    }

    /// Arguments that contradict each other.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            usage: true,
            code: Some(Code::Usage),
            ..Self::new(message, help)
        }
    }

    /// What the parser of the command line refuses.
    pub(crate) fn of_parser(said: &clap::Error) -> Self {
        let text = match said.kind() {
            Refused::DisplayHelpOnMissingArgumentOrSubcommand | Refused::MissingSubcommand => {
                "a command is missing".to_owned()
            }
            _ => said.render().to_string(),
        };
        // Its words are paragraphs: what is wrong, tips, the usage.
        let message = text.split("\n\n").next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let words: Vec<&str> = message.split_whitespace().collect();
        let tips = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("tip: "));
        let help: Vec<&str> = tips
            .chain(["--help after a command lists its flags"])
            .collect();
        Self::usage(words.join(" "), help.join("; "))
    }

    /// What an error means for the command, with advice.
    pub(crate) fn because(
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
        help: impl Into<String>,
    ) -> Self {
        let cause = Because {
            message: message.into(),
            source: Box::new(source),
        };
        Self::of(cause, Some(help.into()))
    }

    /// An error that speaks for itself, with advice.
    pub(crate) fn with_help(
        cause: impl Error + Send + Sync + 'static,
        help: impl Into<String>,
    ) -> Self {
        Self::of(cause, Some(help.into()))
    }

    /// The same with other advice.
    #[must_use]
    pub(crate) fn advised(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    pub(crate) fn of(cause: impl Error + Send + Sync + 'static, help: Option<String>) -> Self {
        Self {
            cause: Box::new(cause),
            help,
            usage: false,
            code: None,
            is_in_result: false,
        }
    }

    /// The same, as one of the errors that `explain` knows.
    #[must_use]
    pub(crate) fn with_code(self, code: Code) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// The message with its causes.
    pub(crate) fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(why) = cause {
            message.push_str(&format!(": {why}"));
            cause = why.source();
        }
        message
    }

    /// The end of a run that it has ended.
    pub(crate) fn ending(&self) -> RunEnding {
        RunEnding {
            state: match self.code {
                Some(Code::Diverged | Code::NonFiniteState) => RunState::Diverged,
                _ => RunState::Failed,
            },
            message: Some(self.message()),
            code: self.code.map(|code| code.name().to_owned()),
        }
    }

    /// It as an event: the message with its causes, the advice and the exit code.
    pub(crate) fn object(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code.map(Code::name),
            "message": self.message(),
            "help": self.help,
            "exit_code": self.exit_code(),
        })
    }

    /// Whether an object has said it already.
    pub(crate) fn is_in_result(&self) -> bool {
        self.is_in_result
    }

    /// 2 for wrong usage, 1 for everything else.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.code
            .map(|code| Box::new(code.name()) as Box<dyn std::fmt::Display>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|h| Box::new(h) as Box<dyn std::fmt::Display>)
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        let help = e.help();
        Self {
            usage: true,
            ..Self::of(e, Some(help)).with_code(Code::Config)
        }
    }
}

impl From<ExportError> for Failure {
    fn from(e: ExportError) -> Self {
        let help = e.help();
        let usage = matches!(e, ExportError::Examples { .. });
        Self {
            usage,
            ..Self::with_help(e, help).with_code(Code::Export)
        }
    }
}

impl From<CheckpointError> for Failure {
    fn from(e: CheckpointError) -> Self {
        let help = e.help();
        let code = match e {
            CheckpointError::Io { .. } => Code::RunFile,
            CheckpointError::Busy { .. } => Code::RunBusy,
            _ => Code::NoCheckpoint,
        };
        Self::of(e, help).with_code(code)
    }
}

impl From<DataError> for Failure {
    fn from(e: DataError) -> Self {
        let help = e.help();
        let code = match &e {
            DataError::UnknownDataset { .. } => Code::UnknownDataset,
            DataError::WrongContent { .. }
            | DataError::DamagedCache { .. }
            | DataError::Gzip { .. } => Code::DataNotPublished,
            DataError::Own(OwnDataError {
                problem: Problem::Io(io),
                ..
            }) if io.kind() == ErrorKind::NotFound => Code::NotThere,
            DataError::Own(_) => Code::OwnData,
            DataError::Split(_) => Code::TooFewExamples,
            _ => Code::DataNotHad,
        };
        Self {
            usage: matches!(e, DataError::UnknownDataset { .. } | DataError::Split(_)),
            ..Self::of(e, help).with_code(code)
        }
    }
}

impl From<DeviceError> for Failure {
    fn from(e: DeviceError) -> Self {
        let code = match &e {
            DeviceError::Unknown { .. } => Code::UnknownDevice,
            DeviceError::EngineBusy { .. } => Code::EngineBusy,
            // Its process is well, and another would say the same.
            DeviceError::Supervised(SupervisedError::Failed { fault: false, .. }) => Code::Device,
            DeviceError::Supervised(_) => Code::Supervised,
            _ => Code::Device,
        };
        let help = match &e {
            DeviceError::EngineBusy { .. } => {
                "wait for it, or pass --share-engine if both may run at once"
            }
            DeviceError::Supervised(SupervisedError::Deadline { .. }) => {
                "pass a longer --deadline if the device is only slow"
            }
            DeviceError::Supervised(SupervisedError::Differs { .. }) => {
                "try another --route, and report it"
            }
            DeviceError::Supervised(SupervisedError::Memory { .. }) => {
                "or pass --supervised false, which shares no memory and survives no crash of the device"
            }
            DeviceError::Supervised(SupervisedError::Failed {
                during: "opening", ..
            }) => OTHER_DEVICE,
            DeviceError::Apple(e) if matches!(**e, AppleError::NoRoute { .. }) => OTHER_DEVICE,
            _ => "`ane-trainer devices` lists what there is",
        };
        Self {
            usage: matches!(e, DeviceError::Unknown { .. }),
            ..Self::of(e, Some(help.into())).with_code(code)
        }
    }
}

impl From<TrainerError> for Failure {
    fn from(e: TrainerError) -> Self {
        let e = match e {
            TrainerError::Device(e) => return e.into(),
            other => other,
        };
        let help = match &e {
            TrainerError::Memory(_) => {
                Some("a smaller --batch or --model needs less; --dry-run says how much".into())
            }
            TrainerError::Illegal { violations, .. } => {
                violations.first().map(|v| v.help.to_string())
            }
            TrainerError::NotOnEngine(_) => {
                Some("leave --require-ane out to have the host run them".to_owned())
            }
            TrainerError::Step(StepError::NothingTrains { .. }) => {
                Some("leave something out of --freeze".to_owned())
            }
            TrainerError::Step(StepError::Lowering(_)) => Some(
                "name other layers by --lowering GLOB=NAME; `ane-trainer inspect` says what becomes of each"
                    .to_owned(),
            ),
            _ => None,
        };
        // What was asked for contradicts itself, whatever the device is.
        let usage = matches!(
            e,
            TrainerError::NotFused { .. }
                | TrainerError::Objective(_)
                | TrainerError::Step(
                    StepError::Fusion { .. }
                        | StepError::HostGradient { .. }
                        | StepError::NothingTrains { .. }
                        | StepError::Lowering(_)
                        | StepError::Objective(_)
                )
        );
        let code = match &e {
            TrainerError::Memory(_) => Code::Memory,
            TrainerError::Illegal { .. } => Code::Illegal,
            TrainerError::NotOnEngine(_) => Code::NotOnEngine,
            TrainerError::State(_) => Code::StateDiffers,
            TrainerError::GaveUp { .. } => Code::GaveUp,
            _ => Code::Contradiction,
        };
        Self {
            usage,
            ..Self::of(e, help).with_code(code)
        }
    }
}

impl From<FitError> for Failure {
    fn from(e: FitError) -> Self {
        match e {
            FitError::Trainer(e) => e.into(),
            FitError::Checkpoint(e) => e.into(),
            FitError::GaveUp { .. } => Self::of(
                e,
                Some("`ane-trainer train --resume RUN` goes on from there, when the device works again".into()),
            )
            .with_code(Code::GaveUp),
            FitError::NonFiniteState { .. } => Self::of(e, None).with_code(Code::NonFiniteState),
            FitError::Diverged { .. }
            | FitError::LossNotFinite { .. }
            | FitError::NoFiniteLoss { .. } => Self::of(e, None).with_code(Code::Diverged),
            other => Self::of(other, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_refuses_is_no_process_that_fails() {
        let failed = |during, fault| {
            let failed = SupervisedError::Failed {
                device: "apple",
                during,
                message: "no".to_owned(),
                fault,
            };
            Failure::from(DeviceError::from(failed))
        };
        let refused = failed("opening", false);
        assert_eq!(refused.code, Some(Code::Device));
        assert!(
            refused
                .help
                .is_some_and(|help| help.starts_with("leave --device out"))
        );
        assert_eq!(failed("compiling", false).code, Some(Code::Device));
        assert_eq!(failed("opening", true).code, Some(Code::Supervised));
    }
}
