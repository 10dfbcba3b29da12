//! `surface_count`: a request maps few surfaces.
//!
//! The client checks 255 surfaces on a side; the structure that carries a request's surfaces to the driver has 128 slots,
//! so that 128 in all is the most that can be mapped. Every port is a surface of its own. What e5rt makes of a program's
//! ports nobody has counted, and the rule leaves it alone.

use super::{Evidence, Rule, Violation, ports};
use ane_ir::{Chip, Graph, Target};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let (Some(max), found) = (target.max_surfaces(), ports(graph).count()) else {
        return Vec::new();
    };
    if found <= max {
        return Vec::new();
    }
    vec![RULE.by_program(format!(
        "the program has {found} ports ({} inputs, {} outputs), a request on {target} maps at most {max} surfaces",
        graph.inputs().len(),
        graph.outputs().len()
    ))]
}

pub(super) const RULE: Rule = Rule {
    id: "surface_count",
    title: "number of ports",
    forbids: "on the client and memory routes, more than 128 inputs and outputs together",
    otherwise: "mapping the surfaces of a request fails when it is evaluated",
    fix: "pack tensors into fewer ports, or split the program",
    evidence: &[Evidence {
        source: "slavko-at-klincov-it/ANE-Training:docs/ANE_BUFFER_SRAM.md (ANEMemoryMappingParamsStruct has 128 slots)",
        chips: &[Chip::H15],
        os: "macOS 26.3.1",
        date: "2026-03",
        probe: "run the sum of 127 inputs (`doctor --probe`), and of 128 with the rule waived",
    }],
    applies: |target| target.max_surfaces().is_some(),
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    /// The sum of `n` inputs.
    fn sum_of(n: usize) -> String {
        let ports: Vec<String> = (0..n)
            .map(|i| format!("tensor<fp16, [1, 32]> x{i}"))
            .collect();
        let sums: String = (1..n)
            .map(|i| {
                let before = if i == 1 {
                    "x0".into()
                } else {
                    format!("s{}", i - 1)
                };
                format!("tensor<fp16, [1, 32]> s{i} = add(x = {before}, y = x{i});\n")
            })
            .collect();
        format!(
            "func main<ios18>({}) {{ {sums} }} -> (s{});",
            ports.join(", "),
            n - 1
        )
    }

    #[test]
    fn a_request_has_128_slots() {
        for target in ["h13:client", "h17:memory"] {
            accepts("surface_count", target, &sum_of(127));
            rejects("surface_count", target, &sum_of(128));
        }
        accepts("surface_count", "h16", &sum_of(128));
    }
}
