//! What can be done about a training that has diverged, by how it was configured.

use crate::failure::Failure;
use ane_train::{config::RunConfig, fit::FitError, run_dir::RunDir, schedule::Schedule};

/// The failure that ended a run in `run`.
pub(crate) fn explained(error: FitError, config: &RunConfig, run: &RunDir) -> Failure {
    match error {
        FitError::Diverged { .. }
        | FitError::LossNotFinite { .. }
        | FitError::NonFiniteState { .. }
        | FitError::NoFiniteLoss { .. } => Failure::from(error).advised(advice(config, run)),
        other => other.into(),
    }
}

/// Only what is not so already, and in a new run: one that goes on keeps its settings.
fn advice(config: &RunConfig, run: &RunDir) -> String {
    let mut ways = vec![format!("an --lr below {}", config.lr)];
    if config.max_norm.is_none() {
        ways.push("--max-norm 1".to_owned());
    }
    if config.schedule == Schedule::Constant {
        ways.push("--schedule cosine, which begins with small steps".to_owned());
    }
    let last = run.checkpoint("last");
    let kept = if last.is_file() {
        format!("the last good checkpoint is {}", last.display())
    } else {
        "there was no checkpoint yet".to_owned()
    };
    format!("start a new run with {}; {kept}", ways.join(", or with "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

    use super::*;

    #[test]
    fn advice_is_what_is_not_done_already() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        let mut config = RunConfig {
            lr: 30.0,
            schedule: Schedule::Constant,
            ..RunConfig::default()
        };
        assert_eq!(
            advice(&config, &run),
            "start a new run with an --lr below 30, or with --max-norm 1, or with --schedule cosine, which begins with \
             small steps; there was no checkpoint yet"
        );
        config.max_norm = Some(1.0);
        config.schedule = Schedule::COSINE;
        std::fs::write(run.checkpoint("last"), "").unwrap();
        let expected = format!(
            "start a new run with an --lr below 30; the last good checkpoint is {}",
            run.checkpoint("last").display()
        );
        assert_eq!(advice(&config, &run), expected);
    }
}
