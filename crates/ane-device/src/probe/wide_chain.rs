//! `wide_chain`: whether values between ops that the compiler runs as one are rounded to fp16.
//!
//! 2048 + 1 is 2048 in fp16, so that taking 2048 away again leaves 0 where the sum is rounded and 1 where it stays wide.
//! The fused plan keeps its state in pairs whose low part is such a difference: where sums stay wide it is lost, and the
//! split plan is the one to train with. 131,072 ones summed up twice and multiplied by 2⁻¹⁷ are 1 where both sums stay wide
//! and infinite where the second is rounded; the compiler may keep one chain wide and not the other.

use super::{Case, Probe, ProbeError, SQUARE, first, square, values};
use ane_ir::{DType, Graph, Target, TensorType};

pub(super) const PROBE: Probe = Probe {
    name: "wide_chain",
    settles: "what the pairs of the fused plan rest on: every op rounds to fp16 (numerics ieee), chains stay wide (silicon)",
    assumes: "the result of every op is rounded to fp16, whatever reads it",
    waives: &[],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let mut graph = Graph::new();
    let x = graph.input("x", square())?;
    let y = graph.input("y", square())?;
    let sum = graph.add(x, y)?;
    let rest = graph.sub(sum, x)?;
    graph.output("rest", rest)?;
    let pair = Case {
        name: "sum_error",
        graph,
        inputs: values([("x", vec![2048.0; SQUARE]), ("y", vec![1.0; SQUARE])]),
        expected: values([("rest", vec![0.0; SQUARE])]),
        ulps: 0,
        reading: |found| {
            (first(found, "rest")? == 1.0)
                .then_some("the sum stays wide: the low part of a pair would be lost")
        },
    };
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::fp16([256, 512]))?;
    let rows = graph.reduce_sum(x, &[1], true)?;
    let sum = graph.reduce_sum(rows, &[0], true)?;
    let share = graph.scalar(DType::Fp16, 2.0_f64.powi(-17))?;
    let mean = graph.mul(sum, share)?;
    graph.output("mean", mean)?;
    let mean = Case {
        name: "mean_of_131072",
        graph,
        inputs: values([("x", vec![1.0; 256 * 512])]),
        expected: values([("mean", vec![f32::INFINITY])]),
        ulps: 0,
        reading: |found| {
            (first(found, "mean")? == 1.0).then_some("sums stay wide until they are scaled")
        },
    };
    Ok(vec![pair, mean])
}
