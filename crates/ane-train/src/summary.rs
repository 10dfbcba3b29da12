//! A model layer by layer: what each makes, holds and computes, and where its part of a step runs.

use crate::{model::Model, stage::Staged, work::flops};
use ane_ir::{Shape, ops::Op};
use serde::Serialize;
use std::collections::BTreeSet;

/// A layer, or several of one parent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its path, such as `layer1.0.conv1`; empty for what belongs to no layer.
    pub path: String,
    /// Its ops, each once, in the order in which they are computed; of those that only move values the first alone counts.
    pub ops: Vec<&'static str>,
    /// Shape of what it makes last, the batch first.
    #[serde(serialize_with = "dims")]
    pub output: Shape,
    /// Values of its parameters.
    pub parameters: usize,
    /// Those of them that are trained.
    pub trained: usize,
    /// Floating-point operations of the forward pass over a batch, counted as [`crate::placement::Work::flops`].
    pub flops: u64,
    /// Nodes of a training step, gradients among them, that run on the host.
    pub on_host: usize,
}

/// A model as a list of layers in the order in which they are computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The layers.
    pub layers: Vec<LayerSummary>,
    /// Values of all parameters.
    pub parameters: usize,
    /// Those of them that are trained.
    pub trained: usize,
    /// Floating-point operations of the forward pass over a batch.
    pub flops: u64,
}

fn dims<S: serde::Serializer>(shape: &Shape, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(shape.dims())
}

impl Summary {
    /// The layers of a model whose training step runs in these stages and trains the parameters at these positions.
    pub fn of(model: &Model, stages: &Staged, trained: &[usize]) -> Self {
        let graph = &model.train.graph;
        let trained: BTreeSet<usize> = trained.iter().copied().collect();
        let mut layers: Vec<LayerSummary> = Vec::new();
        for (i, node) in graph.nodes().iter().enumerate() {
            if matches!(node.op, Op::Const(_)) {
                continue;
            }
            let layer = of_path(&mut layers, graph.place(i).path());
            layer.flops += flops(graph, node);
            if let Some(&result) = node.results.first() {
                layer.output = graph.ty(result).shape.clone();
            }
            let name = node.op.name();
            let counts = !node.op.only_moves() || layer.ops.is_empty();
            if counts && !layer.ops.contains(&name) {
                layer.ops.push(name);
            }
        }
        for (i, parameter) in model.parameters.iter().enumerate() {
            let owner = parameter.path.rsplit_once('.').map_or("", |(path, _)| path);
            let values = parameter.shape.numel();
            let layer = of_path(&mut layers, owner);
            layer.parameters += values;
            layer.trained += if trained.contains(&i) { values } else { 0 };
        }
        for node in &stages.host_nodes {
            of_path(&mut layers, &node.path).on_host += 1;
        }
        // The loss and the update are no layers, and neither is a name that nothing has.
        layers.retain(|layer| !layer.path.is_empty() && !layer.output.dims().is_empty());
        let sum = |of: fn(&LayerSummary) -> usize| layers.iter().map(of).sum();
        Self {
            parameters: sum(|l| l.parameters),
            trained: sum(|l| l.trained),
            flops: layers.iter().map(|l| l.flops).sum(),
            layers,
        }
    }

    /// The same with layers of one parent at this depth put together, from 1.
    #[must_use]
    pub fn to_depth(&self, depth: usize) -> Self {
        let mut layers: Vec<LayerSummary> = Vec::new();
        for layer in &self.layers {
            let path: Vec<&str> = layer.path.split('.').take(depth).collect();
            let all = of_path(&mut layers, &path.join("."));
            for &op in &layer.ops {
                if !all.ops.contains(&op) {
                    all.ops.push(op);
                }
            }
            all.output = layer.output.clone();
            all.parameters += layer.parameters;
            all.trained += layer.trained;
            all.flops += layer.flops;
            all.on_host += layer.on_host;
        }
        Self {
            layers,
            ..self.clone()
        }
    }
}

/// The layer of a path, which is added where it is new.
fn of_path<'a>(layers: &'a mut Vec<LayerSummary>, path: &str) -> &'a mut LayerSummary {
    let at = layers.iter().position(|layer| layer.path == path);
    let at = at.unwrap_or_else(|| {
        layers.push(LayerSummary {
            path: path.to_owned(),
            ops: Vec::new(),
            output: Shape::new(&[]),
            parameters: 0,
            trained: 0,
            flops: 0,
            on_host: 0,
        });
        layers.len() - 1
    });
    &mut layers[at]
}
