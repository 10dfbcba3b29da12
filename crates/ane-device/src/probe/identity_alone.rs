//! `identity_alone`: a program whose only output is made by `identity`.

use super::{Case, Probe, ProbeError, SQUARE, ramp, square, values};
use ane_ir::{Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "identity_alone",
    settles: "rule bare_movement: NaN on an M5 Max (qwen-ane), used for renames on an M3 Max (Espresso)",
    assumes: "identity(x + x) as the only output is x + x",
    waives: &["bare_movement", "op_support"],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let sum = graph.add(x, x)?;
    let y = graph.identity(sum)?;
    graph.output("y", y)?;
    let x = ramp(SQUARE, 1_000);
    let expected = x.iter().map(|e| 2.0 * e).collect();
    Ok(vec![Case {
        name: "identity",
        graph,
        inputs: values([("x", x)]),
        expected: values([("y", expected)]),
        ulps: 0,
        reading: |found| {
            let all_nan = found.get("y")?.iter().all(|e| e.is_nan());
            all_nan.then_some("all NaN, as qwen-ane reports: the rule is needed here")
        },
    }])
}
