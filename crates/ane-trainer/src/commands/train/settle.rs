//! The configuration of a run: what its flags say over the defaults, or what the checkpoint has that it goes on from.

use super::ConfigArgs;
use crate::{
    continuation::{Continuation, stored_config},
    failure::Failure,
};
use ane_train::{config::RunConfig, step::PlanKind};

/// The configuration that holds. A run that goes on has its own, which the flags may repeat.
pub(super) fn settled(
    flags: &ConfigArgs,
    resumed: Option<&Continuation>,
) -> Result<RunConfig, Failure> {
    let Some(c) = resumed else {
        let mut base = RunConfig::default();
        if flags.require_ane {
            base.plan = PlanKind::Fused;
        }
        return flags.over(base);
    };
    let stored = stored_config(&c.file, &c.checkpoint)?;
    let diff = stored.diff(&flags.over(stored.clone())?);
    if diff.is_empty() {
        return Ok(stored);
    }
    Err(Failure::new(
        format!(
            "`{}` is a checkpoint of another run:\n{}",
            c.file.display(),
            diff.join("\n")
        ),
        "leave these arguments out to continue the run, or start a new one without --resume",
    ))
}
