//! `names`: ports have names that text can carry, and every port is live.
//!
//! Ports are bound by name, so a name is never changed silently. That none occurs twice is an invariant of the IR, which
//! `verify` sees to. Whether symbols are ordered by name is contradictory
//! (Orion, vmlx, libane: bytewise; qwen-ane, turbocider: not always) and does not matter to who binds by name.

use super::{Evidence, Rule, Violation, ports};
use crate::namer::{is_identifier, is_keyword};
use ane_ir::{Chip, Graph, Target};

fn check(graph: &Graph, _: &Target) -> Vec<Violation> {
    let mut violations = Vec::new();
    for v in ports(graph) {
        let name = graph.port(v);
        if !is_identifier(name) {
            let what = "has no name of the form [A-Za-z_][A-Za-z0-9_]*";
            violations.push(RULE.by_value(graph, v, what));
        }
        if is_keyword(name) {
            violations.push(RULE.by_value(graph, v, "is named by a word of the grammar"));
        }
    }
    let uses = graph.use_counts();
    for &v in graph.inputs() {
        if uses[v.index()] == 0 {
            violations.push(RULE.by_value(graph, v, "is an input that nothing reads"));
        }
    }
    for &v in graph.outputs() {
        if graph.literal(v).is_some() {
            let what = "is an output that no op computes, it is a constant";
            violations.push(RULE.by_value(graph, v, what));
        }
    }
    if graph.outputs().is_empty() {
        violations.push(RULE.by_program("the program has no output, expected one or more".into()));
    }
    violations
}

pub(super) const RULE: Rule = Rule {
    id: "names",
    title: "names and life of ports",
    forbids: "port names that are no identifiers or are words of MIL; inputs that nothing reads; outputs that no op computes",
    otherwise: "the compiler refuses the text, drops the port, or crashes",
    fix: "rename the port, or leave it out",
    evidence: &[
        Evidence {
            source: "maderix, Orion, whiskey: compiler tests (duplicate names and unknown outputs are invalid)",
            chips: &[Chip::H16],
            os: "macOS 15 and 26",
            date: "not stated",
            probe: "compile a function with an unused parameter, bind it by name, and read its symbols",
        },
        Evidence {
            source: "aneforge (an empty program crashes the compiler)",
            chips: &[],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile a function whose output is a constant, in a process of its own",
        },
    ],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use super::check;
    use crate::rules::tests::{accepts, rejects};
    use ane_ir::{Graph, TensorType};

    #[test]
    fn names_that_text_cannot_carry_are_refused() {
        let named = |x: &str, y: &str| {
            let mut g = Graph::new();
            let input = g.input(x, TensorType::fp16([2, 32])).unwrap();
            let output = g.relu(input).unwrap();
            g.output(y, output).unwrap();
            check(&g, &"h16".parse().unwrap()).len()
        };
        assert_eq!(named("x", "X"), 0);
        assert_eq!(named("layers.0.weight", "y"), 1);
        assert_eq!(named("0x", "é"), 2);
        assert_eq!(named("tensor", "y"), 1);
    }

    #[test]
    fn a_program_has_an_output() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 32])).unwrap();
        g.relu(x).unwrap();
        let found = check(&g, &"h16".parse().unwrap());
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].message,
            "the program has no output, expected one or more"
        );
    }

    #[test]
    fn ports_are_live() {
        rejects(
            "names",
            "h13",
            "func main<ios18>(tensor<fp16, [2, 32]> x, tensor<fp16, [2, 32]> unused) {
                tensor<fp16, [2, 32]> y = relu(x = x);
            } -> (y);",
        );
        rejects(
            "names",
            "h13",
            "func main<ios18>(tensor<fp16, [2, 32]> x) {
                tensor<fp16, [2, 32]> y = relu(x = x);
                tensor<fp16, [2]> c = const()[val = [0.5, 1]];
            } -> (y, c);",
        );
        accepts(
            "names",
            "h13",
            "func main<ios18>(tensor<fp16, [2, 32]> x) {
                tensor<fp16, [2, 32]> y = relu(x = x);
            } -> (y);",
        );
    }
}
