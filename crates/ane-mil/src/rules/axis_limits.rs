//! `axis_limits`: no axis is longer than the chip's longest.
//!
//! Sources agree on the order of magnitude and differ on which axes count: aneforge bounds spatial and contracted axes
//! by chip and channels by 65,536 everywhere, maderix compiled 32,000 output channels on an M4 while 32,000 input
//! channels were refused, qwen-ane found a limit between 62,080 and 124,160 output channels on an M5 Max. The rule takes
//! the smallest bound for every axis, because a legal program refused costs a split and an illegal one a run.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Graph, Target};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let Some(max) = target.max_axis() else {
        return Vec::new();
    };
    graph
        .values()
        .filter(|&v| graph.ty(v).shape.dims().iter().any(|&d| d > max))
        .map(|v| {
            let longest = graph.ty(v).shape.dims().iter().max().copied().unwrap_or(0);
            let what = format!("has an axis of {longest} elements, {target} takes at most {max}");
            RULE.by_value(graph, v, &what)
        })
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "axis_limits",
    title: "longest axis",
    forbids: "a tensor with an axis longer than the chip's longest: 16,384 up to M3, 65,536 from M4",
    otherwise: "the compiler refuses the program, without a line number",
    fix: "split the axis, or fold it into two",
    evidence: &[
        Evidence {
            source: "aneforge:docs/capabilities.md",
            chips: &[Chip::H13, Chip::H14, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile relu over [1, N] for N = 16,384, 16,385, 65,536, 65,537",
        },
        Evidence {
            source: "imperator (flat rows beyond 16,384 fail)",
            chips: &[Chip::H13],
            os: "macOS 26",
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

    const WIDE: &str = "func main<ios18>(tensor<fp16, [2, 20000]> x) {
        tensor<fp16, [2, 20000]> y = relu(x = x);
    } -> (y);";

    #[test]
    fn the_limit_grew_with_m4() {
        rejects("axis_limits", "h15", WIDE);
        accepts("axis_limits", "h16", WIDE);
    }
}
