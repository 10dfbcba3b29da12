//! `rank`: ports have an axis.
//!
//! The hardware has five; more are no matter for a rule, since no graph of the IR has more than
//! [`ane_ir::MAX_RANK`], which `verify` sees to.

use super::{Evidence, Rule, Violation, ports};
use ane_ir::{Chip, Graph, Target};

fn check(graph: &Graph, _: &Target) -> Vec<Violation> {
    ports(graph)
        .filter(|&v| graph.ty(v).shape.rank() == 0)
        .map(|v| RULE.by_value(graph, v, "is a port without axes, expected 1 to 5"))
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "rank",
    title: "number of axes",
    forbids: "ports without axes",
    otherwise: "the compiler refuses the program",
    fix: "give a scalar port the shape [1]",
    evidence: &[
        Evidence {
            source: "aneforge (ports of 1 to 5 axes)",
            chips: &[Chip::H13, Chip::H14, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile relu with ports of shape [] and [1]",
        },
        Evidence {
            source: "tinygrad:extra/accel/ane/README.md (the hardware has five axes)",
            chips: &[Chip::H13],
            os: "not stated",
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

    #[test]
    fn scalars_do_not_cross_the_boundary() {
        rejects(
            "rank",
            "h16",
            "func main<ios18>(fp16 x) { fp16 y = relu(x = x); } -> (y);",
        );
        accepts(
            "rank",
            "h16",
            "func main<ios18>(tensor<fp16, [1]> x) { tensor<fp16, [1]> y = relu(x = x); } -> (y);",
        );
    }
}
