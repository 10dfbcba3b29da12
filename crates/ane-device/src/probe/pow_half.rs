//! `pow_half`: x to the power of −0.5, which norms are made of.

use super::{Case, Probe, ProbeError, SQUARE, ramp, square, unexplained, values};
use ane_ir::{DType, Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "pow_half",
    settles: "rule op_support for pow",
    assumes: "x^−0.5 is right to 4 units in the last place",
    waives: &["op_support"],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let power = graph.scalar(DType::Fp16, -0.5)?;
    let y = graph.pow(x, power)?;
    graph.output("y", y)?;
    let x: Vec<f32> = ramp(SQUARE, 100).iter().map(|e| e + 1.0).collect();
    let expected = x.iter().map(|e| e.powf(-0.5)).collect();
    Ok(vec![Case {
        name: "pow",
        graph,
        inputs: values([("x", x)]),
        expected: values([("y", expected)]),
        ulps: 4,
        reading: unexplained,
    }])
}
