//! The work of a program, counted from its graph: nodes, floating-point operations, bytes.

use ane_ir::{
    Graph, Node,
    ops::{Op, conv::ConvDims},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// A program's work, counted from its graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Work {
    /// Nodes that compute.
    pub nodes: usize,
    /// Constants.
    pub constants: usize,
    /// Nodes by op.
    pub ops: BTreeMap<&'static str, usize>,
    /// Floating-point operations: two per term of a product, one per element of everything else that computes.
    pub flops: u64,
    /// Bytes that its nodes read and write.
    pub bytes: u64,
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
            bytes: 0,
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
            let touched = node.operands.iter().chain(&node.results);
            work.bytes += touched.map(|&v| graph.ty(v).bytes() as u64).sum::<u64>();
            work.flops += flops(graph, node);
        }
        work
    }

    /// The work of several programs.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |mut sum, work| {
            sum.nodes += work.nodes;
            sum.constants += work.constants;
            for (op, count) in work.ops {
                *sum.ops.entry(op).or_default() += count;
            }
            sum.flops += work.flops;
            sum.bytes += work.bytes;
            sum.bytes_in += work.bytes_in;
            sum.bytes_out += work.bytes_out;
            sum
        })
    }
}

/// Floating-point operations of a node: two per term of a product, one per element of everything else that computes.
pub(crate) fn flops(graph: &Graph, node: &Node) -> u64 {
    let operands = node.operands.iter().map(|&x| graph.ty(x).shape.numel());
    let results = node.results.iter().map(|&y| graph.ty(y).shape.numel());
    let types = || (graph.ty(node.operands[0]), graph.ty(node.operands[1]));
    match &node.op {
        Op::Const(_) => 0,
        Op::Matmul(op) => {
            let (x, y) = types();
            let terms = op.dims(x, y).map_or(0, |d| d.k);
            2 * (results.sum::<usize>() * terms) as u64
        }
        Op::Conv(op) => {
            let (x, y) = types();
            op.dims(x, y).map_or(0, |d| convolution(&d))
        }
        Op::ConvTranspose(op) => {
            let (x, y) = types();
            op.dims(x, y).map_or(0, |d| convolution(&d))
        }
        op if op.only_moves() => 0,
        _ => operands.chain(results).max().unwrap_or(0) as u64,
    }
}

/// Two operations for every element of the kernel at every window, of every group.
fn convolution(d: &ConvDims) -> u64 {
    let kernels = d.groups * d.inputs * d.outputs * d.kernel();
    2 * (d.batch * d.positions() * kernels) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Examples, ModelSpec};

    /// Operations of an example's forward pass that belong to products.
    fn forward(model: &str) -> u64 {
        let examples = Examples::images([1, 28, 28], 10);
        let model: ModelSpec = model.parse().unwrap();
        let model = model.build(4, &examples).unwrap();
        let mut graph = Graph::new();
        let all = &model.infer.graph;
        let of_products = |n: &Node| matches!(n.op, Op::Matmul(_) | Op::Conv(_));
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
