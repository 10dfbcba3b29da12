//! `narrow_rows`: rows of 16, 31 and 33 elements, which are no whole lines of 64 bytes.
//!
//! Where buffers are dense, values tell. Where rows are lines, buffers of ours fit no such port; there the route reads the
//! strides that the loaded program states and compares them with lines of 64 bytes, so loading the program is the test, where it states any.

use super::{Case, Probe, ProbeError, ramp, values};
use ane_ir::{Graph, Target, TensorType};

pub(super) const PROBE: Probe = Probe {
    name: "narrow_rows",
    settles: "rule narrow_rows, and its contradiction: packed (Orion), rows of 64 bytes (seven sources)",
    assumes: "a row that is no whole line starts at the next line of 64 bytes, or the program is refused",
    waives: &["narrow_rows"],
    cases,
};

fn cases(target: &Target) -> Result<Vec<Case>, ProbeError> {
    let case = |name, width: usize| -> Result<Case, ProbeError> {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::fp16([1, 32, 1, width]))?;
        let y = graph.add(x, x)?;
        graph.output("y", y)?;
        let has_rows = target.is_chip() && target.route.has_rows();
        let x: Vec<f32> = ramp(32 * width, 1_000).iter().map(|e| e + 1.0).collect();
        let expected = x.iter().map(|e| 2.0 * e).collect();
        Ok(Case {
            name,
            graph,
            inputs: values([("x", x)]),
            expected: if has_rows {
                values([])
            } else {
                values([("y", expected)])
            },
            ulps: 0,
            reading: |found| {
                let zeros = found.get("y")?.iter().filter(|&&e| e == 0.0).count();
                Some(if zeros > 0 {
                    "some of it is zero: rows do not lie at lines of 64 bytes"
                } else {
                    "rows do not lie at lines of 64 bytes"
                })
            },
        })
    };
    Ok(vec![case("16", 16)?, case("31", 31)?, case("33", 33)?])
}
