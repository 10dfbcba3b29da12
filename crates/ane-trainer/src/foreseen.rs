//! What a training step would be, as JSON has it: the fields are those of `placement.json`.

use ane_train::{
    memory::{Footprint, Forecast},
    placement::Work,
    stage::{HostNode, Share},
};
use serde::Serialize;

/// Where a step would run, and the memory that a training would hold.
#[derive(Serialize)]
pub(crate) struct Foreseen<'a> {
    /// Work of a step on the engine.
    pub(crate) step: Work,
    engine_stages: usize,
    host_stages: usize,
    host_nodes: &'a [HostNode],
    /// Floating-point operations of a step by where they are done.
    step_flops: Share,
    /// Bytes at the peak of a step.
    peak_bytes: u64,
    /// Bytes with a checkpoint.
    total_bytes: u64,
    memory: Footprint,
    /// Whether what programs work in is in there too.
    knows_workspace: bool,
}

impl<'a> Foreseen<'a> {
    /// That of a forecast.
    pub(crate) fn of(forecast: &'a Forecast) -> Self {
        let staged = &forecast.stages;
        let [step_flops, _] = staged.shares();
        Self {
            step: staged.engine_work(),
            engine_stages: staged.engine_stages(),
            host_stages: staged.stages.len() - staged.engine_stages(),
            host_nodes: &staged.host_nodes,
            step_flops,
            peak_bytes: forecast.footprint.peak(),
            total_bytes: forecast.footprint.total(),
            memory: forecast.footprint,
            knows_workspace: forecast.knows_workspace,
        }
    }
}
