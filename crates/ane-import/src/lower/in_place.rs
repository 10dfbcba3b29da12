//! Ops that change a tensor in place: `add_`, `relu_`. They are lowered as the op that gives a new tensor, under the name of
//! its result and every name of the tensor that is changed.
//!
//! A tensor that shares its storage with another, by `view` or `transpose`, would change with it. Where such a tensor is
//! read afterwards, the op is refused.

use crate::{
    aten::{Arg, Graph, Node},
    error::ImportError,
};
use std::collections::HashMap;

/// Ops whose results may lie in the storage of their first argument.
const VIEWS: &[&str] = &[
    "alias",
    "as_strided",
    "broadcast_to",
    "chunk",
    "contiguous",
    "detach",
    "diagonal",
    "dropout",
    "expand",
    "expand_as",
    "flatten",
    "mT",
    "movedim",
    "narrow",
    "numpy_T",
    "permute",
    "reshape",
    "select",
    "slice",
    "split",
    "split_with_sizes",
    "squeeze",
    "swapaxes",
    "t",
    "to",
    "transpose",
    "type_as",
    "unbind",
    "unflatten",
    "unsqueeze",
    "view",
    "view_as",
];

/// The op without what makes it one in place: `aten.add_.Tensor` becomes `aten.add.Tensor`.
pub(super) fn pure(node: &Node) -> Option<Node> {
    let op = changes(node)?;
    let with = format!(".{op}_");
    let without = format!(".{op}");
    Some(Node {
        target: node.target.replacen(&with, &without, 1),
        ..node.clone()
    })
}

/// Name of the op that a node does in place.
fn changes(node: &Node) -> Option<&str> {
    let op = node.op().strip_suffix('_')?;
    (!op.is_empty() && !op.ends_with('_')).then_some(op)
}

/// Name of the tensor that a node changes, if it changes one.
pub(crate) fn changed(node: &Node) -> Option<&str> {
    changes(node)?;
    first_tensor(node)
}

fn first_tensor(node: &Node) -> Option<&str> {
    match node.args.first() {
        Some((_, Arg::Tensor(name))) => Some(name),
        _ => None,
    }
}

/// Calls `f` for every tensor that an argument names.
pub(crate) fn names<'a>(arg: &'a Arg, f: &mut dyn FnMut(&'a str)) {
    match arg {
        Arg::Tensor(name) => f(name),
        Arg::List(all) => all.iter().for_each(|arg| names(arg, f)),
        _ => {}
    }
}

/// Which tensors of a graph share storage, as far as its nodes have been met.
#[derive(Debug)]
pub(super) struct InPlace {
    /// Position of the last node that reads a tensor; that behind the last node for a result.
    last_read: HashMap<String, usize>,
    /// A tensor in whose storage another may lie.
    storage: HashMap<String, String>,
    /// The first name of a tensor that has several.
    tensor: HashMap<String, String>,
}

impl InPlace {
    pub(super) fn new(graph: &Graph) -> Self {
        let mut last_read = HashMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            for (_, arg) in &node.args {
                names(arg, &mut |name| {
                    last_read.insert(name.to_owned(), at);
                });
            }
        }
        for arg in &graph.outputs {
            names(arg, &mut |name| {
                last_read.insert(name.to_owned(), graph.nodes.len());
            });
        }
        Self {
            last_read,
            storage: HashMap::new(),
            tensor: HashMap::new(),
        }
    }

    fn of<'a>(map: &'a HashMap<String, String>, name: &'a str) -> &'a str {
        map.get(name).map_or(name, String::as_str)
    }

    /// Every name of the tensor that the node at this position changes.
    ///
    /// # Errors
    /// When a tensor that shares its storage is read later.
    pub(super) fn changed_by(
        &mut self,
        node: &Node,
        at: usize,
    ) -> Result<Vec<String>, ImportError> {
        let Some(name) = first_tensor(node).map(str::to_owned) else {
            return Ok(Vec::new());
        };
        let storage = Self::of(&self.storage, &name).to_owned();
        let is_view = VIEWS.contains(&node.op().trim_end_matches('_'));
        let in_place = changes(node).is_some();
        if !in_place {
            if is_view {
                for output in node.outputs.iter().flatten() {
                    self.storage.insert(output.name.clone(), storage.clone());
                }
            }
            return Ok(Vec::new());
        }
        let tensor = Self::of(&self.tensor, &name).to_owned();
        let mut same = vec![tensor.clone()];
        same.extend(
            self.tensor
                .iter()
                .filter(|(_, t)| **t == tensor)
                .map(|(n, _)| n.clone()),
        );
        let sharing = self.storage.iter();
        let sharing = sharing.filter(|(n, s)| **s == storage && !same.contains(n));
        let mut others: Vec<&str> = sharing.map(|(n, _)| n.as_str()).collect();
        if !same.contains(&storage) {
            others.push(&storage);
        }
        let read_later = |n: &&str| self.last_read.get(*n).is_some_and(|&last| last > at);
        if let Some(other) = others.into_iter().find(read_later) {
            return Err(ImportError::Unsupported {
                op: node.target.clone(),
                what: format!(
                    "a tensor that shares its memory with `{other}`, which is read later"
                ),
                place: node.place(),
            });
        }
        for output in node.outputs.iter().flatten() {
            self.storage.insert(output.name.clone(), storage.clone());
            self.tensor.insert(output.name.clone(), tensor.clone());
        }
        Ok(same)
    }
}
