//! What the nodes of a step are for: which pass they belong to, and which layer.

use super::{Pass, Scene};
use crate::{step::LOSS_SCALE, store::WEIGHT};
use ane_ir::{Def, Graph, Value};

/// Layer of what belongs to none: the objective follows the layers.
const AFTER_THE_LAYERS: &str = "loss";

/// What is known of the nodes of a step.
#[derive(Debug)]
pub(super) struct Roles {
    /// By value: whether the cotangents of the loss lead to it.
    follows_seed: Vec<bool>,
    /// By node: whether it is part of the update.
    updates: Vec<bool>,
    /// By node of the update: the parameter that is updated.
    updated: Vec<Option<String>>,
}

impl Roles {
    pub(super) fn of(scene: &Scene<'_>) -> Self {
        let step = scene.step;
        let g = &step.graph;
        let seed = g.input_named(LOSS_SCALE);
        let follows_seed = reached(g, |v| Some(v) == seed);
        let of_update = |port: &str| {
            let is_state = step
                .state
                .iter()
                .any(|s| s.old == port && (s.low || s.role != WEIGHT));
            is_state || step.scalars.iter().any(|s| s == port)
        };
        let is_of_update = |v: Value| {
            let port = g.port(v);
            let packed = step.packed.iter().find(|p| p.name == port);
            match packed {
                Some(packed) => packed.members.iter().any(|m| of_update(&m.port)),
                None => of_update(port),
            }
        };
        let from_update = reached(g, is_of_update);
        let updates: Vec<bool> = g
            .nodes()
            .iter()
            .map(|n| n.results.iter().any(|y| from_update[y.index()]))
            .collect();
        let mut updated = vec![None; g.nodes().len()];
        for port in &step.state {
            let Some(value) = step.output_value(&port.new) else {
                continue;
            };
            // What several parameters need, such as the norm of all gradients, is of the first.
            let mut open = vec![value];
            while let Some(v) = open.pop() {
                let Def::Result { node, .. } = g.def(v) else {
                    continue;
                };
                if updates[node] && updated[node].is_none() {
                    updated[node] = Some(port.parameter);
                    open.extend(&g.nodes()[node].operands);
                }
            }
        }
        let path = |parameter: usize| scene.parameters[parameter].path.clone();
        Self {
            follows_seed,
            updated: updated.into_iter().map(|p| p.map(path)).collect(),
            updates,
        }
    }

    /// Whether cotangents lead to a value.
    pub(super) fn follows_seed(&self, v: Value) -> bool {
        self.follows_seed[v.index()]
    }

    /// Whether a node is part of the update.
    pub(super) fn is_update(&self, node: usize) -> bool {
        self.updates[node]
    }

    /// The pass of a node.
    pub(super) fn pass(&self, graph: &Graph, node: usize) -> Pass {
        let leads_on = |v: &Value| self.follows_seed(*v);
        match self.updates[node] {
            true => Pass::Update,
            false if graph.place(node).is_gradient() => Pass::Backward,
            false if graph.nodes()[node].results.iter().any(leads_on) => Pass::Backward,
            false => Pass::Forward,
        }
    }

    /// The path of a node's layer, and of one of the update that of the parameter that is updated.
    pub(super) fn layer(&self, graph: &Graph, node: usize) -> String {
        if let Some(updated) = &self.updated[node] {
            return updated.clone();
        }
        let place = graph.place(node);
        match (place.path(), place.source()) {
            ("", None) => AFTER_THE_LAYERS.to_owned(),
            ("", Some(source)) => source.to_owned(),
            (path, _) => path.to_owned(),
        }
    }
}

/// By value: whether it is computed from an input that `is_start`.
fn reached(g: &Graph, is_start: impl Fn(Value) -> bool) -> Vec<bool> {
    let mut reached = vec![false; g.values().len()];
    for &v in g.inputs() {
        reached[v.index()] = is_start(v);
    }
    for node in g.nodes() {
        if node.operands.iter().any(|x| reached[x.index()]) {
            for y in &node.results {
                reached[y.index()] = true;
            }
        }
    }
    reached
}
