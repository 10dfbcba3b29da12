//! `surface_count`: a program with as many ports as a request is said to have slots for surfaces.
//!
//! Where it fails, requests map fewer than the rule allows. Whether they map more is not asked: nothing here needs it.

use super::{Case, Probe, ProbeError, values};
use ane_ir::{Graph, Target, TensorType};

/// Surfaces of a request, where the target says nothing.
const SLOTS: usize = 128;

pub(super) const PROBE: Probe = Probe {
    name: "surface_count",
    settles: "rule surface_count: 128 slots by the structure of the driver, 255 on a side by the client",
    assumes: "a request of 128 surfaces is mapped, and every one is read",
    waives: &[],
    cases,
};

/// The sum of inputs full of ones.
fn cases(target: &Target) -> Result<Vec<Case>, ProbeError> {
    let inputs = target.max_surfaces().unwrap_or(SLOTS) - 1;
    let mut graph = Graph::new();
    let ty = TensorType::fp16([1, 32]);
    let mut sum = graph.input("x000", ty.clone())?;
    let mut ones = values([("x000", vec![1.0; 32])]);
    for i in 1..inputs {
        let name = format!("x{i:03}");
        let x = graph.input(&name, ty.clone())?;
        sum = graph.add(sum, x)?;
        ones.insert(name, vec![1.0; 32]);
    }
    graph.output("y", sum)?;
    Ok(vec![Case {
        name: "128",
        graph,
        inputs: ones,
        expected: values([("y", vec![inputs as f32; 32])]),
        ulps: 0,
        reading: |_| Some("some of the surfaces are not read"),
    }])
}
