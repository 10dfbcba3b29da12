//! `matmul_runtime`: products of two inputs, which training rests on.

use super::{Case, Probe, ProbeError, ramp, unexplained, values};
use ane_ir::{Graph, Target, TensorType};

pub(super) const PROBE: Probe = Probe {
    name: "matmul_runtime",
    settles: "the contradiction on matmul: rejected by one M-series note and limited on M1 (imperator), works elsewhere",
    assumes: "the product of two inputs of 32 × 32 and of 64 × 64 is exact for small whole numbers",
    waives: &[],
    cases,
};

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    let case = |name, size: usize| -> Result<Case, ProbeError> {
        let ty = TensorType::fp16([1, 1, size, size]);
        let mut graph = Graph::new();
        let a = graph.input("a", ty.clone())?;
        let b = graph.input("b", ty)?;
        let y = graph.matmul(a, b, false, false)?;
        graph.output("y", y)?;
        // Sums of at most 64 products of at most 4 · 2 stay below 2,048 and are exact however they are added.
        let (a, b) = (ramp(size * size, 5), ramp(size * size, 3));
        let product = (0..size * size)
            .map(|i| {
                let (row, column) = (i / size, i % size);
                (0..size)
                    .map(|k| a[row * size + k] * b[k * size + column])
                    .sum()
            })
            .collect();
        Ok(Case {
            name,
            graph,
            inputs: values([("a", a), ("b", b)]),
            expected: values([("y", product)]),
            ulps: 0,
            reading: unexplained,
        })
    };
    Ok(vec![case("32 × 32", 32)?, case("64 × 64", 64)?])
}
