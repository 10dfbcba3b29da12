//! `train --dry-run`: what would run and what it would take, of which nothing is taken.

use crate::{
    continuation::Continuation,
    failure::Failure,
    foreseen::Foreseen,
    output::{self, say},
};
use ane_device::Device;
use ane_engine::{Pool, simd::Isa};
use ane_train::{
    TrainerConfig, TrainerError, config::RunConfig, memory::Forecast, store::StateLayout,
};
use serde::Serialize;
use std::sync::Arc;

/// What would run.
#[derive(Serialize)]
struct Report<'a> {
    config: &'a RunConfig,
    /// Steps of the whole run.
    steps: u64,
    #[serde(flatten)]
    foreseen: Foreseen<'a>,
}

/// Compiles the programs of a run, and shows its configuration, the work of a step and the memory that it needs.
pub(super) fn show(
    config: &RunConfig,
    trainer: &TrainerConfig,
    device: &dyn Device,
    (pool, isa): (&Arc<Pool>, Isa),
    resumed: Option<&Continuation>,
) -> Result<(), Failure> {
    let forecast = Forecast::of(trainer, device, pool, isa)?;
    if let Some(c) = resumed {
        StateLayout::of(trainer, &forecast.step)
            .check(&c.checkpoint.state)
            .map_err(|e| c.misfit(e))?;
    }
    if config.require_ane {
        forecast.stages.require_ane().map_err(TrainerError::from)?;
    }
    forecast.footprint.must_fit().map_err(TrainerError::from)?;
    let report = Report {
        config,
        steps: trainer.total_steps,
        foreseen: Foreseen::of(&forecast),
    };
    output::result(&report, || tell(&report, &forecast));
    Ok(())
}

fn tell(report: &Report<'_>, forecast: &Forecast) {
    let work = &report.foreseen.step;
    say!(
        "{}",
        serde_json::to_string_pretty(report.config).unwrap_or_default()
    );
    say!(
        "a step: {} nodes, {:.1} MFLOP, {} bytes in, {} bytes out; {} steps",
        work.nodes,
        work.flops as f64 / 1e6,
        work.bytes_in,
        work.bytes_out,
        report.steps
    );
    for line in forecast.stages.lines() {
        say!("{line}");
    }
    say!("{forecast}");
}
