//! `op_support`: the target has the op.
//!
//! The table is `ane_ir::Target::op_support`'s. Its two sources contradict each other for `cast`, `identity` and a few
//! more: native by the compiler's tables, refused by a sweep through e5rt on an M5. On e5rt the sweep decides.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Graph, OpSupport, Target};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    graph
        .nodes()
        .iter()
        .filter_map(|node| {
            let op = node.op.name();
            let what = match target.op_support(op) {
                OpSupport::Native | OpSupport::Indirect => return None,
                OpSupport::Refused => format!("is made by `{op}`, which {target} refuses"),
                OpSupport::Unknown => {
                    format!("is made by `{op}`, of which no source says that {target} has it")
                }
            };
            node.results
                .first()
                .map(|&v| RULE.by_value(graph, v, &what))
        })
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "op_support",
    title: "ops of the target",
    forbids: "an op that the target refuses, or of which nothing is known there",
    otherwise: "the compiler answers InvalidMILProgram or CompilationFailure without naming the op",
    fix: "run the passes of LEGALIZE, which decompose what can be decomposed, or run the op on the host",
    evidence: &[
        Evidence {
            source: "aneforge:aneforge/full_mil_vocabulary_sweep.json (e5rt: 97 correct, 19 reachable, 50 not)",
            chips: &[Chip::H17],
            os: "macOS 26.5",
            date: "not stated",
            probe: "compile and run the op alone on the samples of its file: `doctor --probe`",
        },
        Evidence {
            source: "aneforge 0.4.0: op table by chip",
            chips: &[Chip::H13, Chip::H14, Chip::H15, Chip::H16, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "as above",
        },
    ],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    const CAST: &str = "func main<ios18>(tensor<fp16, [2, 32]> x) {
        tensor<fp32, [2, 32]> a = cast(x = x, dtype = \"fp32\");
        tensor<fp32, [2, 32]> b = relu(x = a);
        tensor<fp16, [2, 32]> y = cast(x = b, dtype = \"fp16\");
    } -> (y);";

    #[test]
    fn what_a_route_refuses_another_may_have() {
        rejects("op_support", "h17", CAST);
        accepts("op_support", "h17:client", CAST);
    }
}
