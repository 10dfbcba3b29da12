//! Dead code elimination.
//!
//! Before: `a = relu(x); b = exp(x); -> (a)`. After: `a = relu(x); -> (a)`.
//! Inputs stay: they are the function's signature.

use super::{PassError, rewrite};
use crate::{graph::Graph, target::Target};
use smallvec::smallvec;

pub(super) fn run(graph: &Graph, _: &Target) -> Result<Graph, PassError> {
    let mut live = vec![false; graph.values().len()];
    for v in graph.outputs() {
        live[v.index()] = true;
    }
    for node in graph.nodes().iter().rev() {
        if node.results.iter().any(|r| live[r.index()]) {
            for x in &node.operands {
                live[x.index()] = true;
            }
        }
    }
    rewrite("dce", graph, |_, node, _| {
        let dead = !node.results.iter().any(|r| live[r.index()]);
        Ok(dead.then(|| smallvec![]))
    })
}
