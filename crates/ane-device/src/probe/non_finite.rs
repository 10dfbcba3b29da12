//! `non_finite`: what ops make of NaN and the infinities.

use super::{Case, Probe, ProbeError, SQUARE, first, square, values};
use ane_ir::{DType, Graph, Target, TypeError, Value};

pub(super) const PROBE: Probe = Probe {
    name: "non_finite",
    settles: "open question on NaN and infinities per op: +inf, 0 or another finite value where IEEE gives NaN (aneforge, M5)",
    assumes: "NaN and infinities propagate as IEEE 754 says",
    waives: &["op_support"],
    cases,
};

type Build = fn(&mut Graph, Value) -> Result<Value, TypeError>;

/// Op and operand, how it is built, the operand, and what IEEE 754 says.
const CASES: &[(&str, Build, f32, f32)] = &[
    ("add(nan, nan)", |g, x| g.add(x, x), f32::NAN, f32::NAN),
    ("exp(inf)", |g, x| g.exp(x), f32::INFINITY, f32::INFINITY),
    ("exp(nan)", |g, x| g.exp(x), f32::NAN, f32::NAN),
    (
        "log(inf)",
        |g, x| g.log(x, 0.0),
        f32::INFINITY,
        f32::INFINITY,
    ),
    ("log(nan)", |g, x| g.log(x, 0.0), f32::NAN, f32::NAN),
    (
        "mul(inf, 2)",
        |g, x| {
            let two = g.scalar(DType::Fp16, 2.0)?;
            g.mul(x, two)
        },
        f32::INFINITY,
        f32::INFINITY,
    ),
    ("mul(nan, nan)", |g, x| g.mul(x, x), f32::NAN, f32::NAN),
    (
        "overflow(60000 + 60000)",
        |g, x| g.add(x, x),
        60_000.0,
        f32::INFINITY,
    ),
    ("sigmoid(inf)", |g, x| g.sigmoid(x), f32::INFINITY, 1.0),
    ("sqrt(-1)", |g, x| g.sqrt(x), -1.0, f32::NAN),
    ("sub(inf, inf)", |g, x| g.sub(x, x), f32::INFINITY, f32::NAN),
    ("tanh(nan)", |g, x| g.tanh(x), f32::NAN, f32::NAN),
];

fn cases(_: &Target) -> Result<Vec<Case>, ProbeError> {
    CASES
        .iter()
        .map(|&(name, build, x, expected)| {
            let mut graph = Graph::new();
            let v = graph.input("x", square())?;
            let y = build(&mut graph, v)?;
            graph.output("y", y)?;
            Ok(Case {
                name,
                graph,
                inputs: values([("x", vec![x; SQUARE])]),
                expected: values([("y", vec![expected; SQUARE])]),
                ulps: 0,
                reading: |found| {
                    first(found, "y")?
                        .is_finite()
                        .then_some("a finite value hides it: judge overflow before this op")
                },
            })
        })
        .collect()
}
