//! The proof that a target takes a graph.

use crate::rules::{RULES, Violation};
use ane_ir::{Graph, Target, verify};

/// A graph that [`check`] found nothing wrong with, for one target. Nothing else makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct LegalGraph {
    graph: Graph,
    target: Target,
}

impl LegalGraph {
    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The target that takes it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The graph, no longer known to be legal.
    pub fn into_graph(self) -> Graph {
        self.graph
    }
}

/// Whether `target` takes `graph`. Software has no law but the IR's own invariants.
///
/// # Errors
/// Everything that is wrong. Broken invariants of the IR, our bug, come alone: rules cannot read a broken graph.
pub fn check(graph: Graph, target: &Target) -> Result<LegalGraph, Vec<Violation>> {
    let broken: Vec<Violation> = verify(&graph)
        .iter()
        .map(|e| Violation {
            rule: "verify",
            value: None,
            ty: None,
            message: e.to_string(),
            help: "this graph was built wrongly, which is a bug: report it".into(),
        })
        .collect();
    if !broken.is_empty() {
        return Err(broken);
    }
    let violations: Vec<Violation> = RULES
        .iter()
        .filter(|rule| (rule.applies)(target))
        .flat_map(|rule| (rule.check)(&graph, target))
        .collect();
    if violations.is_empty() {
        Ok(LegalGraph {
            graph,
            target: *target,
        })
    } else {
        Err(violations)
    }
}
