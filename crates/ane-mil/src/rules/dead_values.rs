//! `dead_values`: what is computed is used.
//!
//! Some sources report that a computed but unused result fails to compile; none published the text. A node counts as
//! dead when none of its results is used: a part of a `split` that nobody reads cannot be taken away.

use super::{Evidence, Rule, Violation};
use ane_ir::{Graph, Target};

fn check(graph: &Graph, _: &Target) -> Vec<Violation> {
    let uses = graph.use_counts();
    graph
        .nodes()
        .iter()
        .filter(|node| node.results.iter().all(|r| uses[r.index()] == 0))
        .filter_map(|node| node.results.first())
        .map(|&v| RULE.by_value(graph, v, "is computed and never used"))
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "dead_values",
    title: "unused results",
    forbids: "a node none of whose results is an operand or an output",
    otherwise: "the compiler refuses the program, by some reports",
    fix: "run the pass `dce`",
    evidence: &[Evidence {
        source: "notes of several projects, none with the text that failed",
        chips: &[],
        os: "not stated",
        date: "not stated",
        probe: "compile y = relu(x) beside an unused z = tanh(x)",
    }],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    #[test]
    fn unused_results_are_refused() {
        rejects(
            "dead_values",
            "h16",
            "func main<ios18>(tensor<fp16, [2, 32]> x) {
                tensor<fp16, [2, 32]> z = tanh(x = x);
                tensor<fp16, [2, 32]> y = relu(x = x);
            } -> (y);",
        );
    }

    #[test]
    fn one_used_part_of_a_split_is_enough() {
        accepts(
            "dead_values",
            "h16",
            "func main<ios18>(tensor<fp16, [2, 32]> x) {
                tensor<fp16, [1, 32]> a, tensor<fp16, [1, 32]> b = split(x = x, num_splits = 2, axis = 0);
                tensor<fp16, [1, 32]> y = relu(x = b);
            } -> (y);",
        );
    }
}
