//! `scaled_reduction`: no reduction times the constant zero.
//!
//! One source met it, on M5; the pattern computes nothing, so it is refused on every chip.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Graph, Target, Value};

fn check(graph: &Graph, _: &Target) -> Vec<Violation> {
    let is_zero = |v: Value| graph.literal(v).and_then(|l| l.splat_value()) == Some(0.0);
    let is_reduction = |v: Value| {
        graph
            .node_of(v)
            .is_some_and(|node| node.op.name().starts_with("reduce_"))
    };
    graph
        .nodes()
        .iter()
        .filter(|node| node.op.name() == "mul")
        .filter(|node| match node.operands[..] {
            [x, y] => (is_reduction(x) && is_zero(y)) || (is_zero(x) && is_reduction(y)),
            _ => false,
        })
        .map(|node| RULE.by_value(graph, node.results[0], "is a reduction times zero"))
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "scaled_reduction",
    title: "reductions times zero",
    forbids: "`mul` of a reduction and a constant of zeros",
    otherwise: "the compiler fails, or drops the factor",
    fix: "use the constant zero itself",
    evidence: &[Evidence {
        source: "aneforge:aneforge/_compile.py",
        chips: &[Chip::H17],
        os: "macOS 26.2 to 26.5.2",
        date: "not stated",
        probe: "compile mul(reduce_sum(x), 0) and compare with zeros",
    }],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    fn scaled(by: &str) -> String {
        format!(
            "func main<ios18>(tensor<fp16, [2, 32]> x) {{
                tensor<fp16, [2, 1]> sum = reduce_max(x = x, axes = [1], keep_dims = true);
                tensor<fp16, [2, 1]> y = mul(x = sum, y = fp16({by}));
            }} -> (y);"
        )
    }

    #[test]
    fn a_reduction_is_not_multiplied_by_zero() {
        rejects("scaled_reduction", "h17", &scaled("0"));
        accepts("scaled_reduction", "h17", &scaled("0.5"));
    }
}
