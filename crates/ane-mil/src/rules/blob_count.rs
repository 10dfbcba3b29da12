//! `blob_count`: few constants, and a weight file below 4 GiB.
//!
//! The limit of 16 was seen through `_ANEInMemoryModel`; maderix and ANE-LM stay below it, aneforge puts more than 100
//! weights into one e5rt program. Whether records of one file count once or per tensor is not known; the rule counts
//! tensors, even where equal payloads share a record.

use super::{Evidence, Rule, Violation};
use crate::print::is_blob;
use ane_ir::{Chip, Graph, Literal, Target};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let blobs: Vec<&Literal> = graph
        .values()
        .filter_map(|v| graph.literal(v))
        .filter(|literal| is_blob(literal))
        .collect();
    let mut violations = Vec::new();
    if let Some(max) = target.max_blobs()
        && blobs.len() > max
    {
        violations.push(RULE.by_program(format!(
            "the program has {} constants in its weight file, {target} takes at most {max}",
            blobs.len()
        )));
    }
    let bytes: u64 = blobs.iter().map(|b| b.ty().bytes() as u64).sum();
    if bytes > u64::from(u32::MAX) {
        violations.push(RULE.by_program(format!(
            "the weight file would have {bytes} bytes of data, offsets beyond 4 GiB are read wrongly"
        )));
    }
    violations
}

pub(super) const RULE: Rule = Rule {
    id: "blob_count",
    title: "number and size of weights",
    forbids: "more than 16 BLOBFILE tensors on the client and memory routes; weight files of 4 GiB and more",
    otherwise: "the compiler refuses the program with an empty error list",
    fix: "pass weights as inputs, as training does, or split the program",
    evidence: &[
        Evidence {
            source: "qwen-ane:ANE-REFERENCE.md",
            chips: &[Chip::H17],
            os: "macOS 26 and 27",
            date: "not stated",
            probe: "compile sums of 15, 16 and 17 BLOBFILE constants, in one file and in several",
        },
        Evidence {
            source: "ledger:knowledge/ane/08, quoting Orion notes 15 and 16",
            chips: &[Chip::H16],
            os: "macOS 15",
            date: "not stated",
            probe: "as above",
        },
    ],
    applies: Target::is_chip,
    check,
};

#[cfg(test)]
mod tests {
    use super::check;
    use ane_ir::{Graph, Literal, TensorType};

    fn sum_of(n: usize) -> Graph {
        let mut g = Graph::new();
        let mut x = g.input("x", TensorType::fp16([32])).unwrap();
        for i in 0..n {
            let c = Literal::splat(TensorType::fp16([32]), i as f64);
            let c = g.constant(c).unwrap();
            x = g.add(x, c).unwrap();
        }
        g.output("y", x).unwrap();
        g
    }

    #[test]
    fn sixteen_are_the_limit_where_programs_are_models() {
        let on = |target: &str, n: usize| check(&sum_of(n), &target.parse().unwrap()).len();
        assert_eq!(on("h17:memory", 16), 0);
        assert_eq!(on("h17:memory", 17), 1);
        assert_eq!(on("h17", 17), 0);
    }
}
