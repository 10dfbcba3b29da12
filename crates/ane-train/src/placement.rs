//! What ran where: nodes, floating-point operations and bytes of a program, dispatches and compiles of its device.

use crate::{
    step::PlanKind,
    trainer::{Done, Trainer},
};
use ane_device::{Counts, Power};
use ane_ir::{
    Graph,
    ops::{Op, conv::ConvDims},
};
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
                Op::Conv(op) => {
                    let (x, y) = (graph.ty(node.operands[0]), graph.ty(node.operands[1]));
                    op.dims(x, y).map_or(0, |d| convolution(&d))
                }
                Op::ConvTranspose(op) => {
                    let (x, y) = (graph.ty(node.operands[0]), graph.ty(node.operands[1]));
                    op.dims(x, y).map_or(0, |d| convolution(&d))
                }
                op if op.only_moves() => 0,
                _ => operands.chain(results).max().unwrap_or(0) as u64,
            };
        }
        work
    }
}

/// Two operations for every element of the kernel at every window, of every group.
fn convolution(d: &ConvDims) -> u64 {
    let kernels = d.groups * d.inputs * d.outputs * d.kernel();
    2 * (d.batch * d.positions() * kernels) as u64
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Examples, ModelSpec};

    /// Operations of an example's forward pass that belong to products.
    fn forward(model: &str) -> u64 {
        let examples = Examples {
            shape: [1, 28, 28],
            classes: 10,
        };
        let model: ModelSpec = model.parse().unwrap();
        let model = model.build(4, &examples).unwrap();
        let mut graph = Graph::new();
        let all = &model.infer.graph;
        let of_products = |n: &ane_ir::Node| matches!(n.op, Op::Matmul(_) | Op::Conv(_));
        for node in all.nodes().iter().filter(|n| of_products(n)) {
            let operands: Vec<_> = (0..2)
                .map(|i| {
                    let ty = all.ty(node.operands[i]).clone();
                    let name = format!("i{}", graph.inputs().len());
                    graph.input(&name, ty).unwrap()
                })
                .collect();
            graph.push(node.op.clone(), &operands).unwrap();
        }
        Work::of(&graph).flops / 4
    }

    #[test]
    fn products_cost_two_operations_for_each_weight_and_use() {
        assert_eq!(forward("mlp"), 2 * (784 * 512 + 512 * 512 + 512 * 10));
        let convolutions = 6 * 25 * 28 * 28 + 16 * 6 * 25 * 10 * 10;
        assert_eq!(
            forward("lenet"),
            2 * (convolutions + 400 * 120 + 120 * 84 + 84 * 10)
        );
    }
}
