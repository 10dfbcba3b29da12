//! What can be done about a training that has diverged, by how it was configured.

use crate::failure::Failure;
use ane_train::{
    config::RunConfig, fit::FitError, forensics::What, run_dir::RunDir, schedule::Schedule,
};

/// The failure that ended a run in `run`.
pub(crate) fn explained(error: FitError, config: &RunConfig, run: &RunDir) -> Failure {
    match error {
        FitError::Diverged { .. }
        | FitError::LossNotFinite { .. }
        | FitError::NonFiniteState { .. }
        | FitError::NoFiniteLoss { .. } => {
            let help = [origin(run), Some(advice(config, run))];
            Failure::from(error).advised(help.map(Option::unwrap_or_default).concat())
        }
        other => other.into(),
    }
}

/// Where it began, as far as the run has found that.
fn origin(run: &RunDir) -> Option<String> {
    // What cannot be read is not what ended the run.
    let findings = run.read_findings().unwrap_or_default();
    let last = findings.iter().rfind(|f| f.what != What::Vanished)?;
    Some(format!("{last}; "))
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
    use ane_train::forensics::{Finding, Pass};

    #[test]
    fn the_failure_says_where_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        assert_eq!(origin(&run), None);
        let mut finding = Finding {
            step: 7,
            layer: "2".into(),
            op: "linear".into(),
            pass: Pass::Forward,
            what: What::Overflow,
            magnitude: Some(81_234.5),
            limit: 65_504.0,
            loss_scale: 1.0,
            parameter: None,
        };
        run.append_finding(&finding).unwrap();
        // A step that is repeated after a fault is found to do what it did.
        run.append_finding(&finding).unwrap();
        assert_eq!(run.read_findings().unwrap().len(), 1);
        finding.what = What::Vanished;
        run.append_finding(&finding).unwrap();
        assert_eq!(
            origin(&run).unwrap(),
            "step 7, loss scale 1: the first tensor to overflow is made by `linear` of `2` in the forward pass: \
             81234.5 where 65504 is the limit; "
        );
    }

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
