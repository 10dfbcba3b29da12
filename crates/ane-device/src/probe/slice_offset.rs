//! `slice_offset`: a slice that starts inside the last axis, of values above 4,094.

use super::{Case, Probe, ProbeError, first, values};
use ane_ir::{Graph, Target, TensorType};

pub(super) const PROBE: Probe = Probe {
    name: "slice_offset",
    settles: "Target::slice_limit: infinite above 4,094 on M1 and M2, exact from M4 (aneforge), unprobed on M3",
    assumes: "5,000 becomes infinite in a slice at offset 32 on h13 and h14 and passes elsewhere; at offset 0 it passes",
    waives: &[],
    cases,
};

fn cases(target: &Target) -> Result<Vec<Case>, ProbeError> {
    let case = |name, begin: i32, expected: f32| -> Result<Case, ProbeError> {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::fp16([1, 32, 1, 64]))?;
        let part = graph.slice_by_size(x, &[0, 0, 0, begin], &[1, 32, 1, 32])?;
        // The slice feeds an op that computes, as in every real program.
        let y = graph.abs(part)?;
        graph.output("y", y)?;
        Ok(Case {
            name,
            graph,
            inputs: values([("x", vec![5_000.0; 32 * 64])]),
            expected: values([("y", vec![expected; 32 * 32])]),
            ulps: 0,
            reading: |found| match first(found, "y")? {
                x if x.is_infinite() => Some("this chip clamps slices and was not known to"),
                5_000.0 => Some("this chip does not clamp slices"),
                _ => None,
            },
        })
    };
    let inside = if target.slice_limit().is_some() {
        f32::INFINITY
    } else {
        5_000.0
    };
    Ok(vec![
        case("offset 32", 32, inside)?,
        case("offset 0", 0, 5_000.0)?,
    ])
}
