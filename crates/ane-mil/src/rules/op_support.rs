//! `op_support`: the target has the op.
//!
//! The table is `ane_ir::Target::op_support`'s. Its two sources contradict each other for `cast`, `identity` and a few
//! more: native by the compiler's tables, refused by a sweep through e5rt on an M5. On e5rt the sweep decides, unless a
//! program is known to have run: aneforge's own take uint8 images and cast them at the input.

use super::{Evidence, Rule, Violation};
use ane_ir::{
    Chip, DType, Def, Graph, Node, OpSupport, Route, Target,
    ops::{Op, cast::Cast},
};

/// Whether programs that have the node are known to have run, whatever tables say.
fn is_known_to_run(graph: &Graph, node: &Node, target: &Target) -> bool {
    let x = || node.operands.first().copied();
    match node.op {
        Op::Cast(Cast { dtype: DType::Fp16 }) => {
            target.route == Route::E5rt
                && x().is_some_and(|x| {
                    matches!(graph.def(x), Def::Input(_)) && graph.ty(x).dtype == DType::UInt8
                })
        }
        _ => false,
    }
}

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    graph
        .nodes()
        .iter()
        .filter(|node| !is_known_to_run(graph, node, target))
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
            source: "aneforge (uint8 image inputs are cast in the program)",
            chips: &[Chip::H13, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile and run cast of a uint8 input to fp16 and compare all 256 values",
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
    fn bytes_are_cast_where_they_enter() {
        let images = "func main<ios18>(tensor<uint8, [2, 64]> x) {
            tensor<fp16, [2, 64]> a = cast(x = x, dtype = \"fp16\");
            tensor<fp16, [2, 64]> y = relu(x = a);
        } -> (y);";
        accepts("op_support", "h13", images);
        rejects("op_support", "h13", &images.replace("uint8", "int8"));
        let later = images.replace("x = a", "x = b").replace(
            "tensor<fp16, [2, 64]> y",
            "tensor<uint8, [2, 64]> c = cast(x = a, dtype = \"uint8\"); tensor<fp16, [2, 64]> b = cast(x = c, dtype = \"fp16\"); tensor<fp16, [2, 64]> y",
        );
        rejects("op_support", "h13", &later);
    }

    #[test]
    fn what_a_route_refuses_another_may_have() {
        rejects("op_support", "h17", CAST);
        accepts("op_support", "h17:client", CAST);
    }
}
