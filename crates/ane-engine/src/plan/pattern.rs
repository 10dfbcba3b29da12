//! Subgraphs that are one kernel, each in a file of its own.
//!
//! A pattern is the graph that the same function of [`ane_ir`] builds which built the part to be found: nothing repeats
//! what it looks like. It is compared from its result down to its inputs. Views do not count: two values that share
//! their elements are the same, whatever shape they are read in at the border.

mod max_pool_gradient;

use super::lowering::{Lowering, MaxPoolGradient};
use ane_ir::{Def, Graph, Value, ops::Op};
use std::collections::HashMap;

/// A node that is computed by one kernel with all that leads to it.
#[derive(Debug)]
pub(super) enum Match {
    MaxPoolGradient(MaxPoolGradient),
}

impl Match {
    /// What the kernel reads.
    pub(super) fn operands(&self) -> &[Value] {
        match self {
            Self::MaxPoolGradient(gradient) => &gradient.operands,
        }
    }
}

/// The patterns of `graph`, by the node of their result.
pub(super) fn find(graph: &Graph, has_matmul_limit: bool) -> HashMap<usize, Match> {
    let mut found = HashMap::new();
    if !graph.nodes().iter().any(|n| matches!(n.op, Op::MaxPool(_))) {
        return found;
    }
    let shared = Shared::of(graph);
    max_pool_gradient::find(&shared, has_matmul_limit, &mut found);
    found
}

/// Whether `op` gives the same elements under another shape.
pub(super) fn is_view(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::Identity(_)
    )
}

/// A graph in which views are followed to whose elements they show.
struct Shared<'a> {
    graph: &'a Graph,
    root: Vec<Value>,
    /// Nodes that read each root, views among them.
    readers: Vec<Vec<usize>>,
}

impl<'a> Shared<'a> {
    fn of(graph: &'a Graph) -> Self {
        let mut root: Vec<Value> = graph.values().collect();
        let mut readers = vec![Vec::new(); root.len()];
        for (i, node) in graph.nodes().iter().enumerate() {
            for x in &node.operands {
                readers[root[x.index()].index()].push(i);
            }
            if is_view(&node.op) {
                root[node.results[0].index()] = root[node.operands[0].index()];
            }
        }
        Self {
            graph,
            root,
            readers,
        }
    }

    fn root(&self, v: Value) -> Value {
        self.root[v.index()]
    }

    /// Nodes that `v` leads to within a few steps.
    fn near(&self, v: Value, steps: usize) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut open = vec![self.root(v)];
        for _ in 0..steps {
            let mut next = Vec::new();
            for v in open {
                for &node in self.readers[v.index()].iter().take(MOST_READERS) {
                    if !found.contains(&node) && found.len() < MOST_NEAR {
                        found.push(node);
                        let results = &self.graph.nodes()[node].results;
                        next.extend(results.iter().map(|&r| self.root(r)));
                    }
                }
            }
            open = next;
        }
        found
    }

    /// What the inputs of `pattern` are in this graph if `v` is its result `of`.
    fn unify(&self, pattern: &Shared<'_>, of: Value, v: Value) -> Option<Vec<Value>> {
        let mut bound: Vec<Option<Value>> = vec![None; pattern.graph.inputs().len()];
        let mut same: HashMap<Value, Value> = HashMap::new();
        let mut open = vec![(of, v)];
        while let Some((p, v)) = open.pop() {
            let (tp, tv) = (pattern.graph.ty(p), self.graph.ty(v));
            let (p_root, v_root) = (pattern.root(p), self.root(v));
            if tp.dtype != tv.dtype || tp.shape.numel() != tv.shape.numel() {
                return None;
            }
            if let Def::Input(i) = pattern.graph.def(p_root) {
                if bound[i].is_some_and(|b| b != v_root) {
                    return None;
                }
                bound[i] = Some(v_root);
                continue;
            }
            if tp.shape != tv.shape {
                return None;
            }
            match same.insert(p_root, v_root) {
                Some(before) if before == v_root => continue,
                Some(_) => return None,
                None => {}
            }
            let (p_node, v_node) = (
                definition(pattern.graph, p_root)?,
                definition(self.graph, v_root)?,
            );
            if p_node.op != v_node.op || p_node.segments != v_node.segments {
                return None;
            }
            let result = |node: &ane_ir::Node, v| node.results.iter().position(|&r| r == v);
            if result(p_node, p_root) != result(v_node, v_root)
                || pattern.graph.ty(p_root) != self.graph.ty(v_root)
            {
                return None;
            }
            open.extend(
                p_node
                    .operands
                    .iter()
                    .copied()
                    .zip(v_node.operands.iter().copied()),
            );
        }
        bound.into_iter().collect()
    }
}

/// Readers of one value that are looked at, and nodes near one in all: a pattern's own are few.
const MOST_READERS: usize = 16;
const MOST_NEAR: usize = 128;

fn definition(graph: &Graph, v: Value) -> Option<&ane_ir::Node> {
    match graph.def(v) {
        Def::Input(_) => None,
        Def::Result { node, .. } => Some(&graph.nodes()[node]),
    }
}

/// The lowering of a node that is the result of a pattern.
pub(super) fn lowering(found: &Match) -> Lowering {
    use super::lowering::{Head, Step};
    match found {
        Match::MaxPoolGradient(gradient) => Lowering::Steps(vec![Step::Head(
            Head::MaxPoolGradient(Box::new(gradient.clone())),
        )]),
    }
}
