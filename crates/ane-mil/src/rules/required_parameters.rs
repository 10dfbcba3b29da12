//! `required_parameters`: parameters with a default that the engine's compiler wants spelled out.
//!
//! For `concat`, every source that compiles it passes `interleave`, and none of those it fails for published its text.
//! `rsqrt` and `log` without `epsilon` are no matter for the rule: tables say that they are refused (iphone, qwen-ane), and
//! a program with such an `rsqrt` is published with its results (ane-infer, M5, macOS 26.3); what is known to have run
//! counts more. The pass `legalize` says their `epsilon` all the same.

use super::{Evidence, Rule, Violation};
use ane_ir::{Chip, Graph, Target};

/// Op and parameter.
const REQUIRED: [(&str, &str); 2] = [("concat", "interleave"), ("inverse", "epsilon")];

fn check(graph: &Graph, _: &Target) -> Vec<Violation> {
    let mut violations = Vec::new();
    for node in graph.nodes() {
        for (op, parameter) in REQUIRED {
            let given = || node.op.attrs().iter().any(|(name, _)| *name == parameter);
            if node.op.name() == op && !given() {
                let what = format!("is made by `{op}` without `{parameter}`");
                violations.extend(
                    node.results
                        .first()
                        .map(|&v| RULE.by_value(graph, v, &what)),
                );
            }
        }
    }
    violations
}

pub(super) const RULE: Rule = Rule {
    id: "required_parameters",
    title: "parameters without default",
    forbids: "`inverse` without `epsilon`; `concat` without `interleave`",
    otherwise: "the compiler answers InvalidMILProgram",
    fix: "run the pass `legalize`, which says them",
    evidence: &[
        Evidence {
            source: "libane-wheel, aneforge (inverse works with epsilon)",
            chips: &[Chip::H15, Chip::H17],
            os: "macOS 26.2 to 26.5.2",
            date: "not stated",
            probe: "compile inverse and concat with and without the parameter",
        },
        Evidence {
            source: "maderix, whiskey, ironmill, libane, turbocider, pie (concat with interleave works)",
            chips: &[Chip::H15, Chip::H16],
            os: "macOS 15 to 27",
            date: "not stated",
            probe: "as above, on axis 1 and axis 3",
        },
        Evidence {
            source: "whiskey:results/2026-03-19_m3ultra_report.md (concat works on axis 1, fails on axis 3)",
            chips: &[Chip::H15],
            os: "macOS 26.3.1",
            date: "2026-03-19",
            probe: "as above, on axis 3 with widths of 1 and 32",
        },
    ],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    #[test]
    fn epsilon_of_roots_and_logarithms_has_a_default() {
        for op in ["log", "rsqrt"] {
            let of = |epsilon: &str| {
                format!(
                    "func main<ios18>(tensor<fp16, [2, 32]> x) {{
                        tensor<fp16, [2, 32]> y = {op}(x = x{epsilon});
                    }} -> (y);"
                )
            };
            accepts("required_parameters", "h16", &of(""));
            let said = of(", epsilon = fp16(0x1p-14)");
            accepts("required_parameters", "h16", &said);
        }
    }

    #[test]
    fn epsilon_of_reciprocals_is_said() {
        let inverse = |epsilon: &str| {
            format!(
                "func main<ios18>(tensor<fp16, [2, 32]> x) {{
                    tensor<fp16, [2, 32]> y = inverse(x = x{epsilon});
                }} -> (y);"
            )
        };
        rejects("required_parameters", "h16", &inverse(""));
        let said = inverse(", epsilon = fp16(0x1p-14)");
        accepts("required_parameters", "h16", &said);
    }

    #[test]
    fn interleave_is_said() {
        let concat = |interleave: &str| {
            format!(
                "func main<ios18>(tensor<fp16, [2, 32]> x) {{
                    tensor<fp16, [4, 32]> y = concat(values = (x, x), axis = 0{interleave});
                }} -> (y);"
            )
        };
        rejects("required_parameters", "h16", &concat(""));
        accepts(
            "required_parameters",
            "h16",
            &concat(", interleave = bool(false)"),
        );
    }
}
