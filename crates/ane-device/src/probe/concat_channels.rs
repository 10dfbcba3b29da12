//! `concat_channels`: two tensors behind each other on the channel axis.

use super::{Case, Probe, ProbeError, SQUARE, ramp, square, values};
use ane_ir::{Graph, Target, ops::concat::Concat};

pub(super) const PROBE: Probe = Probe {
    name: "concat_channels",
    settles: "rules op_support and required_parameters, and the contradiction on concat: rejected by Orion, qwen-ane, iphone and fieldguide, works for maderix, ironmill, libane, pie and turbocider",
    assumes: "concat on axis 1 with interleave = false puts one tensor behind the other",
    waives: &["op_support"],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let a = graph.input("a", square())?;
    let b = graph.input("b", square())?;
    let both = graph.push(
        Concat {
            axis: 1,
            interleave: Some(false),
        },
        &[a, b],
    )?;
    let y = graph.abs(both)?;
    graph.output("y", y)?;
    let a = ramp(SQUARE, 1_000);
    let b: Vec<f32> = a.iter().map(|e| e + 1_000.0).collect();
    let both = [a.clone(), b.clone()].concat();
    Ok(vec![Case {
        name: "concat",
        graph,
        inputs: values([("a", a), ("b", b)]),
        expected: values([("y", both)]),
        ulps: 0,
        reading: |found| {
            // The second row is the first of the other tensor when rows take turns.
            (*found.get("y")?.get(32)? == 1_000.0).then_some("the rows are interleaved")
        },
    }])
}
