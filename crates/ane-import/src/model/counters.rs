//! Buffers that only count, such as `num_batches_tracked`: a step changes them and computes nothing with them.

use crate::{
    error::ImportError,
    lower::{changed, names},
    pt2::{Exported, Role},
};
use std::collections::HashMap;

/// Takes out the nodes that change a counter.
///
/// # Errors
/// When a parameter changes in the forward pass, or a buffer that something reads.
pub(super) fn drop_counters(exported: &mut Exported) -> Result<(), ImportError> {
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
    }
    let mut at = 0;
    exported.graph.nodes.retain(|_| {
        at += 1;
        !counts.contains(&(at - 1))
    });
    Ok(())
}
