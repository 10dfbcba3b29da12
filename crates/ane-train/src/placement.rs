//! What ran where: the work of a step on the engine, what of it is on the host and why, dispatches and compiles of the
//! device.

pub use crate::work::Work;

use crate::{
    memory::Footprint,
    stage::{HostNode, Share},
    step::PlanKind,
    trainer::{Done, Trainer},
};
use ane_device::{Counts, Power};
use serde::Serialize;

/// The report that every run ends with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placement {
    /// The device that ran the program.
    pub device: String,
    /// The target it was held to.
    pub target: String,
    /// `split` or `fused`.
    pub plan: &'static str,
    /// Work of one step on the device.
    pub step: Work,
    /// Engine stages of a step, each a dispatch.
    pub engine_stages: usize,
    /// Host stages of a step.
    pub host_stages: usize,
    /// The nodes of those, with the reasons.
    pub host_nodes: Vec<HostNode>,
    /// Floating-point operations of a step by where they are done.
    pub flops: Share,
    /// Bytes that the nodes of a step read and write, by where they do.
    pub bytes: Share,
    /// What is on the host, in one line; `None` where nothing but an update is.
    #[serde(skip)]
    pub host_summary: Option<String>,
    /// Updated values per step on the host.
    pub host_update: usize,
    /// Programs compiled, counted by the device.
    pub compiles: u64,
    /// Programs executed, counted by the device.
    pub dispatches: u64,
    /// What was executed for the training since the device was opened; programs that the device ran again to compare
    /// results are dispatches besides.
    #[serde(flatten)]
    pub done: Done,
    /// The peak of memory in a step, in bytes: buffers and batches of training and evaluation, by count.
    pub peak_bytes: u64,
    /// Of what that is made, and what a checkpoint takes on top of it while it is made.
    pub memory: Footprint,
    /// What Apple's engine drew during training, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// Warnings that what ran may not be what the device's name says.
    pub warnings: Vec<String>,
}

impl Placement {
    /// The report of a trainer, with `warnings` of whoever opened its device and without a measurement of power.
    pub fn of(trainer: &Trainer, warnings: Vec<String>) -> Self {
        let Counts {
            compiles,
            dispatches,
        } = trainer.device().counts();
        let trained = trainer.step().trained.iter();
        let parameters: usize = trained
            .map(|&i| trainer.parameters()[i].shape.numel())
            .sum();
        let plan = trainer.config().plan;
        let stages = trainer.stages();
        let [flops, bytes] = stages.shares();
        Self {
            device: trainer.device().name().to_owned(),
            target: trainer.device().target().to_string(),
            plan: plan.name(),
            step: stages.engine_work(),
            engine_stages: stages.engine_stages(),
            host_stages: stages.stages.len() - stages.engine_stages(),
            host_nodes: stages.host_nodes.clone(),
            flops,
            bytes,
            host_summary: stages.summary(),
            host_update: if plan == PlanKind::Split {
                parameters
            } else {
                0
            },
            compiles,
            dispatches,
            done: *trainer.done(),
            peak_bytes: trainer.footprint().peak(),
            memory: *trainer.footprint(),
            power: None,
            warnings,
        }
    }
}
