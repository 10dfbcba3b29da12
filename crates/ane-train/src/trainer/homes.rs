//! Where the store's tensors lie on the device: in buffers of their own, or packed where a request holds few surfaces.

use super::TrainerConfig;
use crate::{
    error::TrainerError,
    program::{Program, Stored},
    stage,
    step::{PackedPort, PlanKind, Step},
    store::WEIGHT,
};
use ane_device::{Buffer, Device};
use ane_ir::{DType, Shape, Target, TensorType};

/// Lists of ports that are packed, and the lists of those that replace them.
const WEIGHTS: &str = "weights";
const STATE: &str = "state";
const NEW: &str = "new_";

/// Packs the ports of a training step that has more than a request of `target` holds.
pub(super) fn pack_training(
    step: &mut Step,
    config: &TrainerConfig,
    target: &Target,
) -> Result<(), TrainerError> {
    let Some(most) = target.max_surfaces() else {
        return Ok(());
    };
    let ports = step.graph.inputs().len() + step.graph.outputs().len();
    if ports + stage::crossings(&step.graph, target) <= most {
        return Ok(());
    }
    step.unpacked = stage::host_ports(&step.graph, target);
    let weights = weight_ports(step, config);
    let alone = &step.unpacked;
    if config.plan == PlanKind::Split {
        let gradients = step.gradients.iter().filter(|g| !alone.contains(*g));
        let lists = [
            (WEIGHTS, weights),
            ("gradients", gradients.cloned().collect()),
        ];
        return Ok(step.pack(&lists)?);
    }
    let is_weight = |role: &str, low: bool| role == WEIGHT && !low;
    let list = |of_weights: bool, port: fn(&crate::step::StatePort) -> &String| {
        let state = step.state.iter();
        let wanted =
            state.filter(|s| is_weight(s.role, s.low) == of_weights && !alone.contains(&s.old));
        wanted.map(|s| port(s).clone()).collect::<Vec<_>>()
    };
    let lists = [
        (WEIGHTS, weights),
        (STATE, list(false, |s| &s.old)),
        ("new_weights", list(true, |s| &s.new)),
        ("new_state", list(false, |s| &s.new)),
    ];
    Ok(step.pack(&lists)?)
}

/// Packs the weights of an inference step as those of the training step are.
pub(super) fn pack_inference(
    step: &mut Step,
    training: &Step,
    config: &TrainerConfig,
) -> Result<(), TrainerError> {
    if training.packed.is_empty() {
        return Ok(());
    }
    Ok(step.pack(&[(WEIGHTS, weight_ports(training, config))])?)
}

/// Ports of the trained weights that are packed, in the model's order.
fn weight_ports(step: &Step, config: &TrainerConfig) -> Vec<String> {
    let parameters = &config.model.parameters;
    let ports = step.trained.iter().map(|&i| parameters[i].port());
    ports.filter(|p| !step.unpacked.contains(p)).collect()
}

/// Buffers of the ports that the store's tensors have.
pub(super) struct Homes<'a> {
    device: &'a dyn Device,
    step: &'a Step,
    /// Of every packed port of old state, one buffer per set.
    packed: Vec<(&'a PackedPort, Vec<Buffer>)>,
}

impl<'a> Homes<'a> {
    /// For `sets` sets of state.
    pub(super) fn new(
        device: &'a dyn Device,
        step: &'a Step,
        sets: usize,
    ) -> Result<Self, TrainerError> {
        let lists = [WEIGHTS, STATE].map(|list| format!("packed_{list}_"));
        let stored = |p: &&PackedPort| lists.iter().any(|list| p.name.starts_with(list));
        let mut packed = Vec::new();
        for port in step.packed.iter().filter(stored) {
            let buffers = (0..sets).map(|_| device.allocate(&port.ty));
            packed.push((port, buffers.collect::<Result<_, _>>()?));
        }
        Ok(Self {
            device,
            step,
            packed,
        })
    }

    /// The buffer of the tensor whose port is `port`, in a set.
    pub(super) fn of(&self, port: &str, shape: &Shape, set: usize) -> Result<Buffer, TrainerError> {
        for (packed, buffers) in &self.packed {
            if let Some(member) = packed.members.iter().find(|m| m.port == port) {
                return Ok(buffers[set].view(member.row, member.rows.clone()));
            }
        }
        let ty = TensorType::new(DType::Fp16, shape.clone());
        Ok(self.device.allocate(&ty)?)
    }

    /// Whether a port is part of a packed one.
    pub(super) fn packs(&self, port: &str) -> bool {
        let ports = self.step.packed.iter().flat_map(|p| &p.members);
        ports.into_iter().any(|m| m.port == port)
    }

    /// The packed ports of state, old and new.
    pub(super) fn ports(&self) -> Stored {
        let mut ports = Stored::new();
        for (packed, buffers) in &self.packed {
            ports.insert(packed.name.clone(), buffers.clone());
            let new = packed.name.replacen("packed_", &format!("packed_{NEW}"), 1);
            if self.step.packed.iter().any(|p| p.name == new) {
                ports.insert(new, buffers.iter().rev().cloned().collect());
            }
        }
        ports
    }
}

/// The buffer of an output port of a program's own, or the view of it where it is packed.
pub(super) fn view(step: &Step, program: &Program, port: &str) -> Buffer {
    for packed in &step.packed {
        if let Some(member) = packed.members.iter().find(|m| m.port == port) {
            return program
                .port(&packed.name)
                .view(member.row, member.rows.clone());
        }
    }
    program.port(port).clone()
}
