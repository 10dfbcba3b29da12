//! `wide_rows`: tensors keep their natural shape instead of becoming one long row.
//!
//! Seen as a crash of the compiler and not as an answer, so this is a rule of its own beside `axis_limits`, whose limits
//! it would otherwise repeat on M4 and M5.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Graph, Target};

/// Ops whose wide results crashed.
const OPS: [&str; 2] = ["concat", "reshape"];

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let Some(widest) = target.widest_row() else {
        return Vec::new();
    };
    graph
        .nodes()
        .iter()
        .filter(|node| OPS.contains(&node.op.name()))
        .flat_map(|node| node.results.iter().map(move |&v| (node.op.name(), v)))
        .filter(|&(_, v)| graph.ty(v).shape.last() > widest)
        .map(|(op, v)| {
            let row = graph.ty(v).shape.last();
            let what = format!(
                "is a row of {row} elements made by `{op}`, at most {widest} are known to work"
            );
            RULE.by_value(graph, v, &what)
        })
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "wide_rows",
    title: "very long rows",
    forbids: "`reshape` to, and `concat` of, rows of more than 65,536 elements",
    otherwise: "the compiler crashes and takes the process with it",
    fix: "keep the natural two-dimensional shape and stack rows",
    evidence: &[Evidence {
        source: "aneforge:docs/developer/autograd.md (a flattened 784 by 128 gradient)",
        chips: &[Chip::H17],
        os: "macOS 26.2 to 26.5.2",
        date: "not stated",
        probe: "compile a reshape of [784, 128] to [1, 100352] and a concat of two, in a process of its own",
    }],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    fn flat(columns: usize) -> String {
        let n = 784 * columns;
        format!(
            "func main<ios18>(tensor<fp16, [784, {columns}]> x) {{
                tensor<fp16, [784, {columns}]> a = relu(x = x);
                tensor<fp16, [1, {n}]> y = reshape(x = a, shape = [1, {n}]);
            }} -> (y);"
        )
    }

    #[test]
    fn gradients_are_not_flattened() {
        rejects("wide_rows", "h17", &flat(128));
        accepts("wide_rows", "h17", &flat(10));
    }
}
