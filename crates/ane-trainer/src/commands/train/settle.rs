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
    let done = c.checkpoint.record.progress.step;
    let opened = flags.open_data(&mut asked, known)?;
    let data = (&opened.description, Some(opened.train_len()));
    let asked = flags.over(asked, data)?;
    let mut stored = stored;
    if asked.epochs < stored.epochs {
        return Err(Failure::usage(
            format!(
                "`{}` is of a run of {} epochs, and --epochs says {}",
                c.file.display(),
                stored.epochs,
                asked.epochs
            ),
            "pass more epochs to go on for longer, or leave --epochs out",
        )
        .with_code(Code::CannotResume));
    }
    // More epochs are the same run for longer.
    if asked.epochs > stored.epochs {
        stored.extended.push(Extension {
            step: done,
            epochs: stored.epochs,
        });
        stored.epochs = asked.epochs;
    }
    let diff = stored.diff(&asked);
    if let Some(known) = known {
        must_be_those_of(known, &opened.description, &c.file)?;
    }
    if diff.is_empty() {
        return Ok((stored, opened));
    }
    Err(Failure::new(
        format!(
            "`{}` is a checkpoint of another run:\n{}",
            c.file.display(),
            diff.join("\n")
        ),
        "leave these arguments out to continue the run, or start a new one without --resume",
    )
    .with_code(Code::CannotResume))
}
