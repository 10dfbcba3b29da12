//! `narrow_rows`: ports that cross as IOSurfaces have rows of whole 64-byte lines.
//!
//! Seven sources see rows padded to 64 bytes. Orion alone reports a [1, 768, 1, 16] fp16 input that is read packed on an
//! M4 Max. Only ports without padding are safe under both readings.

use super::{Evidence, Rule, Violation, ports};
use ane_ir::{Chip, Graph, Target};

fn check(graph: &Graph, target: &Target) -> Vec<Violation> {
    let Some(line) = target.row_alignment() else {
        return Vec::new();
    };
    ports(graph)
        .filter_map(|v| {
            let ty = graph.ty(v);
            let row = ty.shape.last() * ty.dtype.bytes();
            let what = format!(
                "has rows of {row} bytes, {} carries multiples of {line}",
                target.route
            );
            (!row.is_multiple_of(line)).then(|| RULE.by_value(graph, v, &what))
        })
        .collect()
}

pub(super) const RULE: Rule = Rule {
    id: "narrow_rows",
    title: "rows of ports",
    forbids: "on the client and memory routes, a port whose last axis is not a multiple of 64 bytes",
    otherwise: "evaluation fails with status 0x1d, or data is shifted or zero without an error",
    fix: "pad the last axis (fp16: to a multiple of 32), as the pass `pad_rows` does",
    evidence: &[
        Evidence {
            source: "qwen-ane (width 131 fails, 160 works)",
            chips: &[Chip::H17],
            os: "macOS 26 and 27",
            date: "not stated",
            probe: "run add(x, x) with fp16 rows of 16, 31, 32 and 33 elements and compare",
        },
        Evidence {
            source: "eiln:anecc/anect/__init__.py (asserted against compiled programs)",
            chips: &[Chip::H13],
            os: "not stated",
            date: "not stated",
            probe: "as above",
        },
        Evidence {
            source: "ironmill: dump of RowStride; Espresso (lane 1 fails, lane 32 works)",
            chips: &[Chip::H15],
            os: "macOS 15",
            date: "not stated",
            probe: "as above",
        },
    ],
    applies: |target| target.row_alignment().is_some(),
    check,
};

#[cfg(test)]
mod tests {
    use crate::rules::tests::{accepts, rejects};

    const NARROW: &str = "func main<ios18>(tensor<fp16, [2, 16]> x) {
        tensor<fp16, [2, 16]> y = relu(x = x);
    } -> (y);";

    #[test]
    fn rows_matter_where_surfaces_do() {
        rejects("narrow_rows", "h16:client", NARROW);
        rejects("narrow_rows", "h16:memory", NARROW);
        accepts("narrow_rows", "h16", NARROW);
        accepts("narrow_rows", "h16:client", &NARROW.replace("16]", "32]"));
    }
}
