//! Buffers that only count, such as `num_batches_tracked`: a step changes them and computes nothing with them.

use crate::{
    aten::Arg,
    error::ImportError,
    lower::{changed, names},
    pt2::{Exported, Role},
};
use std::collections::HashMap;

/// A buffer that a training step counts up by a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its path.
    pub path: String,
    /// What every step adds; none where it changes in another way.
    pub step: Option<i64>,
}

/// Takes out the nodes that change a counter, and says which there are.
///
/// # Errors
/// When a parameter changes in the forward pass, or a buffer that something reads.
pub(super) fn drop_counters(exported: &mut Exported) -> Result<Vec<Counter>, ImportError> {
    let mut reads: HashMap<String, usize> = HashMap::new();
    let graph = &exported.graph;
    let args = graph
        .nodes
        .iter()
        .flat_map(|n| n.args.iter().map(|(_, a)| a));
    for arg in args.chain(&graph.outputs) {
        names(arg, &mut |name| {
            *reads.entry(name.to_owned()).or_default() += 1
        });
    }
    let inputs = graph.inputs.iter().zip(&exported.roles);
    let state: HashMap<&str, &str> = inputs
        .filter_map(|(tensor, role)| {
            let path = match role {
                Role::Parameter { path, .. }
                | Role::Buffer { path, .. }
                | Role::Constant { path } => path,
                Role::User => return None,
            };
            Some((tensor.as_ref()?.name.as_str(), path.as_str()))
        })
        .collect();
    let mut counts = Vec::new();
    let mut counters = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Some((name, path)) = changed(node).and_then(|name| Some((name, state.get(name)?)))
        else {
            continue;
        };
        let unread = |name: &str| !reads.contains_key(name);
        let is_counter =
            reads.get(name) == Some(&1) && node.outputs.iter().flatten().all(|t| unread(&t.name));
        if !is_counter {
            return Err(ImportError::Unsupported {
                op: node.target.clone(),
                what: format!("`{path}`, which the forward pass would change and read"),
                place: node.place(),
            });
        }
        counts.push(at);
        counters.push(Counter {
            path: (*path).to_owned(),
            step: match (node.op(), node.arg("other")) {
                ("add_", Some(Arg::Int(step))) => Some(*step),
                _ => None,
            },
        });
    }
    let mut at = 0;
    exported.graph.nodes.retain(|_| {
        at += 1;
        !counts.contains(&(at - 1))
    });
    Ok(counters)
}
