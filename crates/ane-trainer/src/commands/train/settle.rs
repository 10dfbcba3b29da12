//! The configuration of a run: what its flags say over the defaults, or what the checkpoint has that it goes on from.

use super::ConfigArgs;
use crate::{
    code::Code,
    continuation::{Continuation, must_be_those_of, stored_config},
    failure::Failure,
};
use ane_train::{
    config::{Extension, RunConfig},
    data::Opened,
    step::PlanKind,
};

/// The configuration that holds, and its data. A run that goes on has its own, which the flags may repeat.
pub(super) fn settled(
    flags: &ConfigArgs,
    resumed: Option<&Continuation>,
) -> Result<(RunConfig, Opened), Failure> {
    let Some(c) = resumed else {
        let mut base = RunConfig::default();
        if flags.require_ane {
            base.plan = PlanKind::Fused;
        }
        let opened = flags.open_data(&mut base, None)?;
        let data = (&opened.description, Some(opened.train_len()));
        let mut config = flags.over(base, data)?;
        flags.warm_up(&mut config, opened.train_len())?;
        return Ok((config, opened));
    };
    let stored = stored_config(&c.file, &c.checkpoint)?;
    let known = c.checkpoint.record.data.as_ref();
    let mut asked = stored.clone();
    let opened = flags.open_data(&mut asked, known)?;
    let data = (&opened.description, Some(opened.train_len()));
    let asked = flags.over(asked, data)?;
    let mut stored = stored;
    extend(&mut stored, &asked, c)?;
    let diff = stored.diff(&asked);
    if let Some(known) = known {
        must_be_those_of(known, &opened.description, &c.file)?;
    }
    if diff.is_empty() {
        return Ok((stored, opened));
    }
    Err(Failure::usage(
        format!(
            "`{}` is a checkpoint of another run:\n{}",
            c.file.display(),
            diff.join("\n")
        ),
        "leave these arguments out to continue the run, or start a new one without --resume",
    )
    .with_code(Code::CannotResume))
}

/// Gives a run the epochs, steps and patience that are asked for, which are no fewer than it had.
fn extend(stored: &mut RunConfig, asked: &RunConfig, c: &Continuation) -> Result<(), Failure> {
    let limits = |config: &RunConfig| {
        [
            ("--epochs", Some(config.epochs)),
            ("--max-steps", config.max_steps),
            ("--patience", config.patience),
        ]
    };
    let mut is_longer = false;
    for ((flag, had), (_, wanted)) in limits(stored).into_iter().zip(limits(asked)) {
        let (Some(had), Some(wanted)) = (had, wanted) else {
            continue;
        };
        if wanted < had {
            return Err(Failure::usage(
                format!(
                    "`{}` is of a run with {flag} {had}, and now {flag} says {wanted}",
                    c.file.display()
                ),
                format!("pass more {flag} to go on for longer, or leave {flag} out"),
            )
            .with_code(Code::CannotResume));
        }
        is_longer |= wanted > had;
    }
    if !is_longer {
        return Ok(());
    }
    // More of what may end it is the same run for longer.
    let record = &c.checkpoint.record;
    let replaced = |had: Option<u64>, wanted: Option<u64>| had.filter(|_| had < wanted);
    let mut extension = Extension {
        step: record.progress.step,
        epochs: stored.epochs,
        max_steps: replaced(stored.max_steps, asked.max_steps),
        patience: replaced(stored.patience, asked.patience),
        waits_since: None,
    };
    stored.epochs = asked.epochs;
    stored.max_steps = stored.max_steps.and(asked.max_steps);
    stored.patience = stored.patience.and(asked.patience);
    if c.has_waited(stored) {
        extension.waits_since = Some(record.position.0);
    }
    stored.extended.push(extension);
    Ok(())
}
