//! `elementwise_add`: the least that a route can do.

use super::{Case, Probe, ProbeError, SQUARE, ramp, square, unexplained, values};
use ane_ir::{Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "elementwise_add",
    settles: "whether the route runs programs at all",
    assumes: "x + x of 32 rows of 32 is exact",
    waives: &[],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let y = graph.add(x, x)?;
    graph.output("y", y)?;
    let x = ramp(SQUARE, 1_000);
    let expected = x.iter().map(|e| 2.0 * e).collect();
    Ok(vec![Case {
        name: "add",
        graph,
        inputs: values([("x", x)]),
        expected: values([("y", expected)]),
        ulps: 0,
        reading: |found| {
            let y = found.get("y")?;
            if y.iter().all(|&e| e == 0.0) {
                return Some(
                    "everything is zero: the output's surface may not be the one that was bound",
                );
            }
            unexplained(found)
        },
    }])
}
