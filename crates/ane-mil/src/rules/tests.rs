//! What every rule owes: its place in the list, its evidence, and texts on both sides of it.

use super::{RULES, Rule, Violation};
use crate::{NoBlobs, parse};
use ane_ir::Target;

fn violations(id: &str, target: &str, function: &str) -> Vec<Violation> {
    let rule: &Rule = RULES.iter().find(|r| r.id == id).expect("the rule exists");
    let target: Target = target.parse().unwrap();
    let text = format!("program(1.3) {{ {function} }}");
    let module = parse(&text, &NoBlobs).unwrap_or_else(|e| panic!("{}", e.excerpt()));
    if !(rule.applies)(&target) {
        return Vec::new();
    }
    (rule.check)(&module.functions[0].graph, &target)
}

/// The rule finds a fault and explains it.
#[track_caller]
pub(super) fn rejects(id: &str, target: &str, function: &str) {
    let found = violations(id, target, function);
    assert!(!found.is_empty(), "`{id}` accepts on {target}: {function}");
    for v in found {
        assert_eq!(v.rule, id);
        assert!(!v.message.is_empty() && !v.help.is_empty());
    }
}

/// The rule finds nothing.
#[track_caller]
pub(super) fn accepts(id: &str, target: &str, function: &str) {
    assert_eq!(violations(id, target, function), []);
}

#[test]
fn rules_are_in_order_and_complete() {
    assert!(RULES.is_sorted_by_key(|r| r.id));
    for rule in RULES {
        assert!(!rule.evidence.is_empty(), "{}", rule.id);
        for text in [rule.title, rule.forbids, rule.otherwise, rule.fix] {
            assert!(!text.is_empty(), "{}", rule.id);
        }
        for e in rule.evidence {
            for text in [e.source, e.os, e.date, e.probe] {
                assert!(!text.is_empty(), "{}", rule.id);
            }
        }
        assert!(!(rule.applies)(&Target::SOFTWARE), "{}", rule.id);
    }
}
