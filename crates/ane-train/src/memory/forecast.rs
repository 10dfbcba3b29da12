//! What a training will hold, counted from its programs: they are built and compiled, and nothing is allocated for them.

use super::{Footprint, amount};
use crate::{
    data::Loader,
    error::TrainerError,
    program::{Compiled, HostEngine},
    stage::{StagePort, Staged},
    step::{PlanKind, Step},
    trainer::TrainerConfig,
};
use ane_device::{Device, Layout};
use ane_engine::{Pool, SharedBuffer, simd::Isa};
use ane_ir::TensorType;
use std::{collections::BTreeSet, fmt, sync::Arc};

/// Bytes of this program's code and threads that only a training touches, and for each node of a step what building,
/// legalizing and planning it leave behind in the heap. Fitted to the resident memory of `mlp`, `lenet` and `resnet8` in
/// both plans on Linux, glibc; evaluation has room in what training has left.
const CODE: u64 = 2_800_000;
const PER_NODE: u64 = 2_350;

/// A training step as it would run on a device, and the memory that training and evaluation take there.
#[derive(Debug)]
pub struct Forecast {
    /// The training step.
    pub step: Step,
    /// The stages in which it would run.
    pub stages: Staged,
    /// What would be held before anything is evaluated. Without what programs work in where the device cannot tell.
    pub training: Footprint,
    /// What would be held, with the program that evaluates.
    pub footprint: Footprint,
    /// Whether the device can tell what programs work in.
    pub knows_workspace: bool,
}

impl Forecast {
    /// Compiles the programs of training and evaluation, and counts; host stages would run on `pool`.
    ///
    /// # Errors
    /// When a step cannot be built, is illegal on the device's target, or the device refuses it. Whether it fits into
    /// memory is [`Footprint::must_fit`]'s to say.
    pub fn of(
        config: &TrainerConfig,
        device: &dyn Device,
        pool: &Arc<Pool>,
        isa: Isa,
    ) -> Result<Self, TrainerError> {
        let host = HostEngine::new(pool.clone(), isa);
        let (step, staged) = config.staged_step(device.target())?;
        let mut footprint = of_training(config, &step, &staged, device);
        let training = Compiled::new(staged, device, &host)?;
        training.add_to(&mut footprint, &host, training_ports(config, &step));
        let of_training = footprint;
        let evaluation = config.evaluation_step(&step, device.target())?;
        let staged = Staged::of(&evaluation.graph, device.target())?;
        of_inference(config, &step, &staged, device, &mut footprint);
        let evaluation = Compiled::new(staged, device, &host)?;
        evaluation.add_to(&mut footprint, &host, inference_ports(config, &step));
        Ok(Self {
            step,
            knows_workspace: training.tells_memory(),
            stages: training.into_staged(),
            training: of_training,
            footprint,
        })
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = &self.footprint;
        write!(
            f,
            "memory: {} at the peak of a step, {} in all: {all}",
            amount(all.peak()),
            amount(all.total())
        )?;
        if !self.knows_workspace {
            f.write_str("; the device does not tell what programs work in")?;
        }
        Ok(())
    }
}

/// What training holds besides its programs: ports, the host's state, batches, checkpoints.
pub(crate) fn of_training(
    config: &TrainerConfig,
    step: &Step,
    staged: &Staged,
    device: &dyn Device,
) -> Footprint {
    let model = &config.model;
    let mut ports: u64 = staged.ports.values().map(|p| port(device, p)).sum();
    let values = |i: usize| model.parameters[i].shape.numel();
    let roles = config.optimizer.as_dyn().state().len() + usize::from(config.ema.is_some());
    let sums = usize::from(config.accumulate > 1);
    let host = |numel: usize| SharedBuffer::footprint(4 * numel) as u64;
    let mut on_host = 0;
    let mut state = 0;
    for i in 0..model.parameters.len() {
        let is_trained = step.trained.contains(&i);
        let of_trained = if is_trained { roles } else { 0 };
        state += 4 * (1 + of_trained) as u64 * values(i) as u64;
        match (config.plan, is_trained) {
            (PlanKind::Split, true) => on_host += (1 + roles + sums) as u64 * host(values(i)),
            (PlanKind::Split | PlanKind::Fused, false) => on_host += host(values(i)),
            (PlanKind::Fused, true) => {}
        }
        // A weight that no program of training reads has a buffer all the same.
        let named = model.parameters[i].port();
        let is_bound = staged.ports.contains_key(&named);
        let packs = step.packed.iter().flat_map(|p| &p.members);
        if !is_bound && !packs.into_iter().any(|m| m.port == named) {
            let ty = TensorType::fp16(model.parameters[i].shape.dims());
            let on_engine = true;
            ports += port(device, &StagePort { ty, on_engine });
        }
    }
    for buffer in &model.buffers {
        on_host += host(buffer.shape.numel());
        state += 4 * buffer.shape.numel() as u64;
    }
    let largest = model.parameters.iter().map(|p| p.shape.numel()).max();
    let gathered = (Loader::UPDATES * config.accumulate.max(1) + 1) as u64;
    Footprint {
        ports,
        // A workspace that nothing works in has its line of the cache all the same.
        host_workspace: SharedBuffer::footprint(0) as u64,
        host: on_host,
        batches: gathered.saturating_mul(batch(step)),
        compiler: CODE
            + PER_NODE * step.graph.nodes().len() as u64
            + 4 * largest.unwrap_or(0) as u64,
        checkpoint: state.saturating_mul(3),
        ..Footprint::default()
    }
}

/// Adds the ports of an inference program that are its own to what the training holds.
pub(crate) fn of_inference(
    config: &TrainerConfig,
    training: &Step,
    inference: &Staged,
    device: &dyn Device,
    footprint: &mut Footprint,
) {
    let stored = stored_ports(config, training);
    let own = inference
        .ports
        .iter()
        .filter(|(name, _)| !stored.contains(*name));
    footprint.ports += own.map(|(_, p)| port(device, p)).sum::<u64>();
}

/// How many bindings of the training program keep what they packed from a port: of frozen weights all, and one of the
/// others between the batches of an update.
pub(crate) fn training_ports(config: &TrainerConfig, step: &Step) -> impl Fn(&str) -> u64 {
    let stored = stored_ports(config, step);
    let parameters = config.model.parameters.iter().enumerate();
    let frozen = parameters.filter(|(i, _)| !step.trained.contains(i));
    let frozen: BTreeSet<String> = frozen.map(|(_, p)| p.port()).collect();
    let (sets, accumulates) = (sets(config), u64::from(config.accumulate > 1));
    move |port| match (frozen.contains(port), stored.contains(port)) {
        (true, _) => sets,
        (false, true) => accumulates,
        (false, false) => 0,
    }
}

/// How many bindings of an inference program keep what they packed from a port: of weights all.
pub(crate) fn inference_ports(config: &TrainerConfig, training: &Step) -> impl Fn(&str) -> u64 {
    let stored = stored_ports(config, training);
    let sets = sets(config);
    move |port| if stored.contains(port) { sets } else { 0 }
}

/// How many sets of state there are, each with a binding of every program.
fn sets(config: &TrainerConfig) -> u64 {
    match config.plan {
        PlanKind::Split => 1,
        PlanKind::Fused => 2,
    }
}

/// Input ports of weights, whose buffers all programs share.
fn stored_ports(config: &TrainerConfig, step: &Step) -> BTreeSet<String> {
    let weights = config.model.parameters.iter().map(|p| p.port());
    let packed = step.packed.iter().map(|p| p.name.clone());
    weights.chain(packed).collect()
}

/// Bytes of a batch: the model's inputs, and the targets as rows.
fn batch(step: &Step) -> u64 {
    let graph = &step.graph;
    let carries = |port: &str| step.inputs.iter().chain(&step.targets).any(|p| p == port);
    let ports = graph.inputs().iter().filter(|&&v| carries(graph.port(v)));
    ports.map(|&v| graph.ty(v).bytes() as u64).sum()
}

/// Bytes that the buffer of a port takes.
fn port(device: &dyn Device, port: &StagePort) -> u64 {
    let layout = if port.is_host_memory() {
        Layout::Dense
    } else {
        device.layout(&port.ty)
    };
    SharedBuffer::footprint(layout.bytes(&port.ty)) as u64
}
