//! Where a cotangent is all zero although what arrived was not.

use super::{Roles, Scene, Source, Suspect, What, overflow::unrounded};
use ane_ir::{Def, Evaluated, Real, Single, Value, eval_nodes};
use std::ops::ControlFlow;

/// Which nodes make zeros of what is not zero, and which values are all zero.
pub(super) struct Zeros {
    is_zero: Vec<bool>,
    suspects: Vec<Option<Suspect>>,
}

impl Zeros {
    /// Those of a step, evaluated once for all parameters.
    pub(super) fn of(scene: &Scene<'_>, roles: &Roles) -> Self {
        let g = &scene.step.graph;
        let mut is_zero = vec![false; g.values().len()];
        for (&v, x) in g.inputs().iter().zip(scene.inputs) {
            is_zero[v.index()] = x.to_f64().iter().all(|&x| x == 0.0);
        }
        let mut suspects = vec![None; g.nodes().len()];
        let on_host = |node| scene.is_on_host(node);
        let evaluated = eval_nodes(g, scene.inputs, scene.numerics, on_host, |seen| {
            suspects[seen.node] = suspect(scene, roles, seen, &mut is_zero);
            ControlFlow::Continue(())
        });
        evaluated.expect("the ports have the types of the graph's inputs");
        Self { is_zero, suspects }
    }

    /// The first node on the way to the output `port`, which is all zero, that makes zeros of what is not.
    pub(super) fn origin(&self, scene: &Scene<'_>, port: &str) -> Option<Suspect> {
        let g = &scene.step.graph;
        // Back along what is all zero: a branch that is zero elsewhere, and does not matter, is not on this way.
        let mut passed = vec![false; g.nodes().len()];
        let mut open = vec![scene.step.output_value(port)?];
        let mut first: Option<usize> = None;
        while let Some(v) = open.pop() {
            let Def::Result { node, .. } = g.def(v) else {
                continue;
            };
            if !self.is_zero[v.index()] || std::mem::replace(&mut passed[node], true) {
                continue;
            }
            match self.suspects[node] {
                Some(_) => first = Some(first.map_or(node, |f| f.min(node))),
                None => open.extend(&g.nodes()[node].operands),
            }
        }
        self.suspects[first?]
    }
}

/// A node that makes zeros of a cotangent that is not zero; notes which of its results are zero.
fn suspect(
    scene: &Scene<'_>,
    roles: &Roles,
    seen: &Evaluated<'_, Single>,
    is_zero: &mut [bool],
) -> Option<Suspect> {
    let node = &scene.step.graph.nodes()[seen.node];
    for (v, y) in node.results.iter().zip(seen.results) {
        is_zero[v.index()] = y.data.iter().all(|e| e.to_f64() == 0.0);
    }
    let makes_zero = node.results.iter().all(|v| is_zero[v.index()]);
    let arrives = |v: &Value| roles.follows_seed(*v) && !is_zero[v.index()];
    // An update multiplies by what all gradients have in common, which is not zero.
    if !makes_zero || roles.is_update(seen.node) || !node.operands.iter().any(arrives) {
        return None;
    }
    let dtype = seen.results.first().map(|y| y.ty.dtype)?;
    Some(Suspect {
        source: Source::Node(seen.node),
        what: What::Vanished,
        magnitude: unrounded(node, seen),
        limit: scene.smallest(dtype),
    })
}
