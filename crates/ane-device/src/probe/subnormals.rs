//! `subnormals`: whether values below 2⁻¹⁴ are read and made.

use super::{Case, Probe, ProbeError, SQUARE, first, square, values};
use ane_ir::{DType, Graph, Target};

pub(super) const PROBE: Probe = Probe {
    name: "subnormals",
    settles: "open question on flushing: unknown per op",
    assumes: "subnormals are kept",
    waives: &[],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let reading = |found: &super::Values| {
        (first(found, "y")? == 0.0)
            .then_some("subnormals are flushed: `--numerics pessimistic` models it")
    };
    let smallest_normal = 2.0_f32.powi(-14);
    let case = |name, x: f32, factor: f32| -> Result<Case, ProbeError> {
        let mut graph = Graph::new();
        let v = graph.input("x", square())?;
        let by = graph.scalar(DType::Fp16, f64::from(factor))?;
        let y = graph.mul(v, by)?;
        graph.output("y", y)?;
        Ok(Case {
            name,
            graph,
            inputs: values([("x", vec![x; SQUARE])]),
            expected: values([("y", vec![x * factor; SQUARE])]),
            ulps: 0,
            reading,
        })
    };
    Ok(vec![
        case("made", smallest_normal, 0.25)?,
        case("read", smallest_normal / 4.0, 4.0)?,
    ])
}
