//! `softmax_rows`: softmax over the last axis.

use super::{Case, Probe, ProbeError, SQUARE, ramp, square, unexplained, values};
use ane_ir::{Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "softmax_rows",
    settles: "rule op_support for softmax",
    assumes: "softmax over the last axis is right to 8 units in the last place",
    waives: &["op_support"],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let y = graph.softmax(x, -1)?;
    graph.output("y", y)?;
    let x: Vec<f32> = ramp(SQUARE, 7).iter().map(|e| e / 2.0).collect();
    let expected = x
        .chunks_exact(32)
        .flat_map(|row| {
            let sum: f32 = row.iter().map(|e| e.exp()).sum();
            row.iter().map(move |e| e.exp() / sum).collect::<Vec<_>>()
        })
        .collect();
    Ok(vec![Case {
        name: "softmax",
        graph,
        inputs: values([("x", x)]),
        expected: values([("y", expected)]),
        ulps: 8,
        reading: unexplained,
    }])
}
