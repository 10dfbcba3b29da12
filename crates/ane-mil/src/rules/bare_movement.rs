//! `bare_movement`: a program computes something.
//!
//! On `reshape` alone sources contradict each other: refused on an M3 Pro through a model (ironmill), compiled, ran and
//! matched through e5rt on an M5 (aneforge's sweep, which ran every op alone). The rule follows each on its own route.
//! On `identity` sources contradict each other: as the only output it gave NaN on an M5 Max, yet with two outputs an
//! extra one was needed where the value is also consumed (qwen-ane), and Espresso renames outputs by it on an M3 Max.
//! The rule forbids what nobody needs: a sole output made by `identity`, and an output that only passes an input on.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Def, Graph, Route, Target, Value};

/// Whether an op moves nothing the engine would see.
fn is_bare(op: &str, target: &Target) -> bool {
    match op {
        "const" | "identity" => true,
        "reshape" => target.route != Route::E5rt,
        _ => false,
    }
}

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut nodes = graph.nodes().iter();
    if nodes.all(|n| is_bare(n.op.name(), target)) {
        violations.push(RULE.by_program(
            "the program has no op but `identity` and `reshape`, expected one that computes".into(),
        ));
    }
    for &output in graph.outputs() {
        let source = through_identities(graph, output);
        if matches!(graph.def(source), Def::Input(_)) {
            let what = "only passes an input on, expected the result of an op";
            violations.push(RULE.by_value(graph, output, what));
        } else if source != output && graph.outputs().len() == 1 {
            let what = "is the only output and is made by `identity`, expected another op";
            violations.push(RULE.by_value(graph, output, what));
        }
    }
    violations
}

/// The value that `v` is, when nodes that change nothing are taken away.
fn through_identities(graph: &Graph, mut v: Value) -> Value {
    while let Some(node) = graph.node_of(v)
        && node.op.name() == "identity"
    {
        v = node.operands[0];
    }
    v
}

pub(super) const RULE: Rule = Rule {
    id: "bare_movement",
    title: "programs that compute nothing",
    forbids: "a program of `identity` only, or on the client and memory routes of `identity` and `reshape`; a sole output made by `identity`; an output that is an input",
    otherwise: "the compiler refuses or crashes, or the output is NaN",
    fix: "let the op that computes the value make the output, or leave the output out",
    evidence: &[
        Evidence {
            source: "ironmill:docs (reshape alone is refused, as an intermediate it works)",
            chips: &[Chip::H15],
            os: "macOS 15.4",
            date: "not stated",
            probe: "compile reshape alone",
        },
        Evidence {
            source: "aneforge:aneforge/full_mil_vocabulary_sweep.json (e5rt: reshape alone runs and is correct)",
            chips: &[Chip::H17],
            os: "macOS 26.5",
            date: "not stated",
            probe: "as above",
        },
        Evidence {
            source: "qwen-ane (identity as the only output gives NaN)",
            chips: &[Chip::H17],
            os: "macOS 26 and 27",
            date: "not stated",
            probe: "run identity(add(x, x)) as the only and as the second output",
        },
        Evidence {
            source: "aneforge (an output that is an input crashes the compiler)",
            chips: &[],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile a function that returns its parameter, in a process of its own",
        },
    ],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    #[test]
    fn moving_is_computing_through_e5rt_only() {
        let reshape = "func main<ios18>(tensor<fp16, [2, 32]> x) {
            tensor<fp16, [64]> y = reshape(x = x, shape = [64]);
        } -> (y);";
        rejects("bare_movement", "h16:client", reshape);
        rejects("bare_movement", "h16:memory", reshape);
        accepts("bare_movement", "h16", reshape);
    }

    #[test]
    fn a_sole_output_is_not_an_identity() {
        rejects(
            "bare_movement",
            "h16",
            "func main<ios18>(tensor<fp16, [2, 32]> x) {
                tensor<fp16, [2, 32]> a = relu(x = x);
                tensor<fp16, [2, 32]> y = identity(x = a);
            } -> (y);",
        );
    }

    #[test]
    fn a_second_output_may_be_one() {
        accepts(
            "bare_movement",
            "h16",
            "func main<ios18>(tensor<fp16, [2, 32]> x) {
                tensor<fp16, [2, 32]> y = relu(x = x);
                tensor<fp16, [2, 32]> z = identity(x = y);
            } -> (y, z);",
        );
    }
}
