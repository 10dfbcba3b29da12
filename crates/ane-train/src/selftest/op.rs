//! One op on all of its samples.

use super::{Row, Subject};
use ane_device::{
    Device, DeviceError,
    trial::{self, TrialError, Values},
};
use ane_ir::{
    DType, Graph, Literal, Numerics, Target, Tensor, TensorType, TypeError, eval,
    ops::{Op, Sample, Tolerance, all_samples},
    passes::{self, LEGALIZE, Pass},
    testing::{self, fp16_ulps},
};
use ane_mil::LegalGraph;

/// Executions of a sample, after which its results must still be the same.
const TIMES: usize = 20;
/// At most this many terms are summed in any sample.
const MOST_TERMS: f64 = 70.0;
/// How far functions of the engine's tables may be off, relatively: exp about 1e-3 (aneforge, M1 to M5), given room for
/// the rounding on both sides.
const SILICON: f64 = 2e-3;
/// The same for silu, which is the coarsest: 4e-2 at worst (aneforge, M1 to M5); gelu is taken for no better.
const SILICON_SILU: f64 = 4e-2;

pub(super) fn run(name: &str, subject: &Subject) -> Result<Row, DeviceError> {
    let device = subject.open()?;
    let reference = subject.reference(&*device)?;
    let samples: Vec<Sample<Op>> = all_samples()
        .into_iter()
        .filter(|s| s.op.name() == name)
        .collect();
    let allowed = samples.first().map_or(Allowed::ops(&[]), |s| {
        Allowed::ops(std::slice::from_ref(&s.op))
    });
    let allowed = Allowed {
        silicon: subject.is_silicon().then_some(match name {
            "gelu" | "silu" => SILICON_SILU,
            _ => SILICON,
        }),
        ..allowed
    };
    let mut row = Row::new(name, samples.len(), allowed.to_string());
    row.max_ulps = Some(0);
    let mut latencies = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        let program = match Program::of(sample, device.target()) {
            Ok(program) => program,
            Err(reasons) => {
                reasons.into_iter().for_each(|r| note(&mut row.refused, r));
                continue;
            }
        };
        let allowed = Allowed {
            silicon: allowed.silicon,
            ..program.allowed()
        };
        let found = match program.run(&*device, TIMES) {
            Ok(found) => found,
            Err(e) => {
                if matches!(e, TrialError::Refused(_)) {
                    note(&mut row.refused, e.to_string());
                }
                row.problems.push(format!("sample {i}: {e}"));
                continue;
            }
        };
        if let Some(number) = found.unsteady {
            row.problems.push(format!(
                "sample {i}: execution {number} gave other values than the one before"
            ));
        }
        latencies.extend(&found.latencies[1..]);
        let expected = if subject.is_software() {
            program.defined(&subject.settings.numerics)
        } else {
            match program.run(&*reference, 1) {
                Ok(trial) => trial.outputs,
                Err(e) => {
                    row.problems
                        .push(format!("sample {i}: the software engine: {e}"));
                    continue;
                }
            }
        };
        row.ran += 1;
        let magnitudes = program.magnitudes();
        for (port, expected) in &expected {
            let values = found.outputs[port].iter().zip(&magnitudes[port]);
            let mut off = 0;
            let mut example = None;
            for (&want, (&got, &magnitude)) in expected.iter().zip(values) {
                let ulps = fp16_ulps(want.into(), got.into());
                row.max_ulps = row.max_ulps.max(Some(ulps));
                let distance = (f64::from(want) - f64::from(got)).abs();
                if distance.is_finite() {
                    row.max_abs = row.max_abs.max(distance);
                }
                if !allowed.near(want, got, magnitude.into()) {
                    off += 1;
                    example.get_or_insert((got, want));
                }
            }
            if let Some((got, want)) = example {
                row.problems.push(format!(
                    "sample {i}: {off} of {} values of `{port}` are off, such as {got:?} for {want:?}",
                    expected.len()
                ));
            }
        }
    }
    Ok(row.settle(latencies))
}

fn note(list: &mut Vec<String>, what: String) {
    if !list.contains(&what) {
        list.push(what);
    }
}

/// A sample as a program that every chip's ports can carry.
struct Program {
    /// With the ports that values are counted by.
    graph: Graph,
    /// The same as the target takes it, but for padded ports.
    legalized: Graph,
    legal: LegalGraph,
    inputs: Vec<Tensor<f32>>,
}

impl Program {
    /// The program, or the rules that forbid it on `target`.
    fn of(sample: &Sample<Op>, target: &Target) -> Result<Self, Vec<String>> {
        let graph = graph_of(sample).map_err(|e| vec![e.to_string()])?;
        let but_rows: Vec<Pass> = LEGALIZE
            .iter()
            .filter(|p| p.name != "pad_rows")
            .copied()
            .collect();
        let run = |passes: &[Pass]| {
            passes::run(&graph, target, passes).map_err(|e| vec![format!("no form of it: {e}")])
        };
        let (legalized, whole) = (run(&but_rows)?, run(LEGALIZE)?);
        let legal = ane_mil::check(whole, target).map_err(|violations| {
            violations
                .iter()
                .map(|v| format!("rule {}", v.rule))
                .collect::<Vec<_>>()
        })?;
        // `_ANERequest` validates that neither side of a request is empty (decompilations of the framework).
        if target.is_chip() && target.route.has_rows() && graph.inputs().is_empty() {
            return Err(vec!["a request of this route needs an input".into()]);
        }
        let inputs = testing::operands::<f32, Op>(sample)
            .into_iter()
            .map(|t| Tensor::new(TensorType::fp16(t.ty.shape.clone()), round(&t.data)))
            .collect();
        Ok(Self {
            graph,
            legalized,
            legal,
            inputs,
        })
    }

    fn run(&self, device: &dyn Device, times: usize) -> Result<trial::Trial, TrialError> {
        let names = self.graph.inputs().iter().map(|&v| self.graph.port(v));
        let inputs: Values = names
            .zip(&self.inputs)
            .map(|(name, x)| (name.to_owned(), x.data.clone()))
            .collect();
        trial::run(device, &self.graph, &self.legal, &inputs, times)
    }

    /// What the definitions of the ops say.
    fn defined(&self, numerics: &Numerics) -> Values {
        self.evaluated(&self.legalized, &self.inputs, numerics)
    }

    /// Sums of magnitudes: what the error of a sum is measured by.
    fn magnitudes(&self) -> Values {
        let sizes: Vec<Tensor<f32>> = self
            .inputs
            .iter()
            .map(|x| Tensor::new(x.ty.clone(), x.data.iter().map(|e| e.abs()).collect()))
            .collect();
        self.evaluated(&self.graph, &sizes, &Numerics::exact())
    }

    fn evaluated(&self, graph: &Graph, inputs: &[Tensor<f32>], numerics: &Numerics) -> Values {
        let outputs = eval(graph, inputs, numerics).expect("the inputs are the graph's");
        let names = graph.outputs().iter().map(|&v| graph.port(v).to_owned());
        names.zip(outputs.into_iter().map(|t| t.data)).collect()
    }

    fn allowed(&self) -> Allowed {
        let ops: Vec<Op> = self
            .legal
            .graph()
            .nodes()
            .iter()
            .map(|n| n.op.clone())
            .collect();
        Allowed::ops(&ops)
    }
}

fn round(x: &[f32]) -> Vec<f32> {
    let literal = Literal::from_f64(
        TensorType::fp16([x.len()]),
        &x.iter().map(|&e| e.into()).collect::<Vec<_>>(),
    );
    literal.to_tensor().data
}

/// The sample between ports of fp16, which is what every chip carries; truth values are made of numbers and numbers of
/// truth values inside. The result is doubled, since programs that compute nothing are refused.
fn graph_of(sample: &Sample<Op>) -> Result<Graph, TypeError> {
    let mut g = Graph::new();
    let mut xs = Vec::new();
    for (i, (ty, _)) in sample.operands.iter().enumerate() {
        let port = TensorType::fp16(ty.shape.clone());
        let x = g.input(&format!("x{i}"), port).expect("names differ");
        xs.push(match ty.dtype {
            DType::Fp16 => x,
            DType::Bool => {
                let half = g.scalar(DType::Fp16, 0.5)?;
                g.greater(x, half)?
            }
            other => g.cast(x, other)?,
        });
    }
    let ys = g.push_segments(sample.op.clone(), &xs, &sample.segments)?;
    for (i, y) in ys.into_iter().enumerate() {
        let y = match g.ty(y).dtype {
            DType::Fp16 => y,
            DType::Bool => {
                let (one, zero) = (g.scalar(DType::Fp16, 1.0)?, g.scalar(DType::Fp16, 0.0)?);
                g.select(y, one, zero)?
            }
            _ => g.cast(y, DType::Fp16)?,
        };
        let y = g.add(y, y)?;
        g.output(&format!("y{i}"), y).expect("names differ");
    }
    Ok(g)
}

/// How far a result may be off.
#[derive(Debug, Clone, Copy, Default)]
struct Allowed {
    ulps: u32,
    sum: bool,
    /// Relative distance that the engine's tables may have besides.
    silicon: Option<f64>,
}

impl Allowed {
    /// For a program of `ops`: those that are made of several add up.
    fn ops(ops: &[Op]) -> Self {
        let mut allowed = Self::default();
        for op in ops {
            match op.tolerance() {
                Tolerance::Exact => {}
                Tolerance::Ulps(n) => allowed.ulps += n,
                Tolerance::Sum => allowed.sum = true,
            }
        }
        allowed
    }

    fn near(&self, want: f32, got: f32, magnitude: f64) -> bool {
        let (want, got) = (f64::from(want), f64::from(got));
        let distance = (want - got).abs();
        let functions = self.ulps > 0 && self.silicon.is_some_and(|r| distance <= r * want.abs());
        let sums = self.sum
            && (distance <= MOST_TERMS * 2.0_f64.powi(-24) * magnitude
                || fp16_ulps(want, got) <= self.ulps + 1);
        fp16_ulps(want, got) <= self.ulps || functions || sums
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.ulps, self.sum) {
            (0, false) => f.write_str("exact")?,
            (0, true) => f.write_str("order of sums")?,
            (n, false) => write!(f, "{n} ulp")?,
            (n, true) => write!(f, "order of sums, {n} ulp")?,
        }
        match self.silicon {
            Some(relative) if self.ulps > 0 => write!(f, " or {relative:e} of the value"),
            _ => Ok(()),
        }
    }
}
