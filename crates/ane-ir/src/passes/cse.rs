//! Common subexpression elimination.
//!
//! Before: `a = relu(x); b = relu(x); c = add(a, b)`. After: `a = relu(x); c = add(a, a)`.

use super::{PassError, rewrite};
use crate::{
    graph::{Graph, Results, Value},
    operands::Segments,
    ops::Op,
    target::Target,
};
use std::collections::HashMap;

/// MIL name and operands of a node.
type Key = (&'static str, Vec<Value>, Segments);

pub(super) fn run(graph: &Graph, _: &Target) -> Result<Graph, PassError> {
    // Ops hold floats and bytes and so have no hash of their own; the name and the operands sort nearly all apart.
    let mut seen: HashMap<Key, Vec<(Op, Results)>> = HashMap::new();
    rewrite("cse", graph, |r, node, xs| {
        if node.results.iter().any(|&v| graph.stops_gradient(v)) {
            return Ok(None);
        }
        let same = seen
            .entry((node.op.name(), xs.to_vec(), node.segments.clone()))
            .or_default();
        if let Some((_, results)) = same.iter().find(|(op, _)| *op == node.op) {
            return Ok(Some(results.clone()));
        }
        let results = r
            .out
            .push_segments(node.op.clone(), xs, &node.segments)
            .map_err(|source| PassError::Type {
                pass: "cse",
                source,
            })?;
        same.push((node.op.clone(), results.clone()));
        Ok(Some(results))
    })
}
