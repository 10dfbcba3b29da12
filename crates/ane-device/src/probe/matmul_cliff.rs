//! `matmul_cliff`: a product of 40,000, above half of fp16's range.

use super::{Case, Probe, ProbeError, first, values};
use ane_ir::{Graph, Target, TensorType};

pub(super) const PROBE: Probe = Probe {
    name: "matmul_cliff",
    settles: "Target::matmul_limit: infinite above 32,752 on M2 Pro and M5 (aneforge), assumed on all chips",
    assumes: "a matmul result of 40,000 is infinite on chips and 40,000 in software; 32,000 is exact",
    waives: &[],
    cases,
};

fn cases(target: &Target) -> Result<Vec<Case>, ProbeError> {
    let case = |name, b: f32, expected: f32| -> Result<Case, ProbeError> {
        let ty = TensorType::fp16([1, 1, 32, 32]);
        let mut graph = Graph::new();
        let x = graph.input("a", ty.clone())?;
        let y = graph.input("b", ty)?;
        let product = graph.matmul(x, y, false, false)?;
        graph.output("y", product)?;
        Ok(Case {
            name,
            graph,
            inputs: values([("a", vec![50.0; 1024]), ("b", vec![b; 1024])]),
            expected: values([("y", vec![expected; 1024])]),
            ulps: 0,
            reading: |found| match first(found, "y")? {
                x if x.is_infinite() => {
                    Some("the limit lies lower than assumed, or where none was assumed")
                }
                40_000.0 => Some("there is no limit below fp16's own here"),
                _ => None,
            },
        })
    };
    let above = if target.matmul_limit().is_some() {
        f32::INFINITY
    } else {
        40_000.0
    };
    // 32 · 50 · b, exact at every step.
    Ok(vec![
        case("40,000", 25.0, above)?,
        case("32,000", 20.0, 32_000.0)?,
    ])
}
