//! What ran where: nodes, floating-point operations and bytes of a program, dispatches and compiles of its device.

use crate::{
    step::PlanKind,
    trainer::{Done, Trainer},
};
use ane_device::{Counts, Power};
use ane_ir::{Graph, ops::Op};
use serde::Serialize;
use std::collections::BTreeMap;

/// A program's work, counted from its graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// Nodes that compute.
    pub nodes: usize,
    /// Constants.
    pub constants: usize,
    /// Nodes by op.
    pub ops: BTreeMap<&'static str, usize>,
    /// Floating-point operations: two per term of a product, one per element of everything else that computes.
    pub flops: u64,
    /// Bytes that cross the program's boundary inwards.
    pub bytes_in: usize,
    /// Bytes that cross it outwards.
    pub bytes_out: usize,
}

impl Work {
    /// Counts the work of one execution.
    pub fn of(graph: &Graph) -> Self {
        let bytes = |ports: &[ane_ir::Value]| ports.iter().map(|&v| graph.ty(v).bytes()).sum();
        let mut work = Self {
            nodes: 0,
            constants: 0,
            ops: BTreeMap::new(),
            flops: 0,
            bytes_in: bytes(graph.inputs()),
            bytes_out: bytes(graph.outputs()),
        };
        for node in graph.nodes() {
            if matches!(node.op, Op::Const(_)) {
                work.constants += 1;
                continue;
            }
            work.nodes += 1;
            *work.ops.entry(node.op.name()).or_default() += 1;
            let operands = node.operands.iter().map(|&x| graph.ty(x).shape.numel());
            let results = node.results.iter().map(|&y| graph.ty(y).shape.numel());
            work.flops += match &node.op {
                Op::Matmul(op) => {
                    let (x, y) = (graph.ty(node.operands[0]), graph.ty(node.operands[1]));
                    let terms = op.dims(x, y).map_or(0, |d| d.k);
                    2 * (results.sum::<usize>() * terms) as u64
                }
                op if op.only_moves() => 0,
                _ => operands.chain(results).max().unwrap_or(0) as u64,
            };
        }
        work
    }
}

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
        Self {
            device: trainer.device().name().to_owned(),
            target: trainer.device().target().to_string(),
            plan: plan.name(),
            step: Work::of(trainer.program().graph()),
            host_update: if plan == PlanKind::Split {
                parameters
            } else {
                0
            },
            compiles,
            dispatches,
            done: *trainer.done(),
            power: None,
            warnings,
        }
    }
}
