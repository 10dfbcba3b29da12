//! `sum_width`: 2,048 and ones, which fp16 cannot add one by one.

use super::{Case, Probe, ProbeError, first, values};
use ane_ir::{Graph, Target, TensorType};

pub(super) const PROBE: Probe = Probe {
    name: "sum_width",
    settles: "the contradiction on the width of accumulation: like fp32 (aneforge), fp16 (a note of qwen-ane), reduce_sum narrow",
    assumes: "2,048 + 62 ones is 2,110, in reduce_sum and in matmul",
    waives: &["op_support"],
    cases,
};

/// Terms of the sum; the last one is zero.
const TERMS: usize = 64;

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let term = |i: usize| match i {
        0 => 2_048.0,
        63 => 0.0,
        _ => 1.0,
    };
    let reading = |found: &super::Values| match first(found, "y")? {
        2_048.0 => Some("running sums are fp16: `--numerics pessimistic` models it"),
        _ => Some("partial sums are narrower than fp32"),
    };
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::fp16([1, TERMS, 1, 32]))?;
    let y = graph.reduce_sum(x, &[1], true)?;
    graph.output("y", y)?;
    let reduction = Case {
        name: "reduce_sum",
        graph,
        inputs: values([("x", (0..TERMS * 32).map(|i| term(i / 32)).collect())]),
        expected: values([("y", vec![2_110.0; 32])]),
        ulps: 0,
        reading,
    };
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::fp16([1, 1, 32, TERMS]))?;
    let ones = graph.input("ones", TensorType::fp16([1, 1, TERMS, 32]))?;
    let y = graph.matmul(x, ones, false, false)?;
    graph.output("y", y)?;
    let product = Case {
        name: "matmul",
        graph,
        inputs: values([
            ("x", (0..32 * TERMS).map(|i| term(i % TERMS)).collect()),
            ("ones", vec![1.0; TERMS * 32]),
        ]),
        expected: values([("y", vec![2_110.0; 32 * 32])]),
        ulps: 0,
        reading,
    };
    Ok(vec![reduction, product])
}
