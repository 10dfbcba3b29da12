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
    check_except(graph, target, &[])
}

/// Whether `target` takes `graph` as far as every rule but the `waived` ones goes; only for probes, which break a rule
/// in order to see whether the target has it.
///
/// # Errors
/// As [`check`]; besides, a waived name that no rule has.
pub fn check_except(
    graph: Graph,
    target: &Target,
    waived: &[&str],
) -> Result<LegalGraph, Vec<Violation>> {
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
    let unknown: Vec<Violation> = waived
        .iter()
        .filter(|name| RULES.iter().all(|rule| rule.id != **name))
        .map(|name| Violation {
            rule: "waived",
            value: None,
            ty: None,
            message: format!("no rule is called `{name}`, so it cannot be waived"),
            help: "take the name from `ane_mil::RULES`".into(),
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let violations: Vec<Violation> = RULES
        .iter()
        .filter(|rule| (rule.applies)(target) && !waived.contains(&rule.id))
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

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::TensorType;

    fn narrow() -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 16])).unwrap();
        let y = g.relu(x).unwrap();
        g.output("y", y).unwrap();
        g
    }

    #[test]
    fn only_the_waived_rule_is_left_out() {
        let target: Target = "h16:client".parse().unwrap();
        let rules = |waived: &[&str]| -> Vec<&str> {
            let found = check_except(narrow(), &target, waived);
            found.map_or_else(|v| v.iter().map(|v| v.rule).collect(), |_| Vec::new())
        };
        assert_eq!(rules(&[]), ["narrow_rows", "narrow_rows"]);
        assert_eq!(rules(&["rank"]), ["narrow_rows", "narrow_rows"]);
        assert!(rules(&["narrow_rows"]).is_empty());
        assert_eq!(rules(&["narow_rows"]), ["waived"]);
    }
}
