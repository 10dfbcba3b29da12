//! `rank`: ports have an axis, and nothing has more than the hardware's five.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Graph, Target};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let Some(most) = target.max_rank() else {
        return Vec::new();
    };
    graph
        .values()
        .filter_map(|v| {
            let rank = graph.ty(v).shape.rank();
            if rank == 0 && graph.is_port(v) {
                let what = format!("is a port without axes, expected 1 to {most}");
                return Some(RULE.by_value(graph, v, &what));
            }
            (rank > most).then(|| {
                let what = format!("has {rank} axes, expected at most {most}");
                RULE.by_value(graph, v, &what)
            })
        })
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "rank",
    title: "number of axes",
    forbids: "ports without axes; values of more than five axes",
    otherwise: "the compiler refuses the program",
    fix: "give a scalar port the shape [1]; join axes by `reshape` until five are left",
    evidence: &[
        Evidence {
            source: "aneforge (ports of 1 to 5 axes)",
            chips: &[Chip::H13, Chip::H14, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile relu with ports of shape [], [1] and [1, 1, 1, 1, 1, 2]",
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

    #[test]
    fn the_hardware_has_five_axes() {
        let text = |shape: &str| {
            format!(
                "func main<ios18>(tensor<fp16, {shape}> x) {{ tensor<fp16, {shape}> y = relu(x = x); }} -> (y);"
            )
        };
        rejects("rank", "h16", &text("[1, 2, 1, 2, 1, 2]"));
        accepts("rank", "h16", &text("[2, 1, 2, 1, 2]"));
        accepts("rank", "software", &text("[1, 2, 1, 2, 1, 2]"));
    }
}
