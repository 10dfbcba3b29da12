//! `sum_channels`: a sum over the channel axis.

use super::{Case, Probe, ProbeError, SQUARE, ramp, square, unexplained, values};
use ane_ir::{Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "sum_channels",
    settles: "rule op_support for reduce_sum, and the contradiction on reductions on M1: imperator against aneforge",
    assumes: "reduce_sum over axis 1 is exact for small whole numbers",
    waives: &["op_support"],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let y = graph.reduce_sum(x, &[1], true)?;
    graph.output("y", y)?;
    let x = ramp(SQUARE, 37);
    let sums = (0..32)
        .map(|w| (0..32).map(|c| x[c * 32 + w]).sum())
        .collect();
    Ok(vec![Case {
        name: "reduce_sum",
        graph,
        inputs: values([("x", x)]),
        expected: values([("y", sums)]),
        ulps: 0,
        reading: unexplained,
    }])
}
