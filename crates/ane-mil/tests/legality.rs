//! Every op and its gradient is legal on every chip by every route, or stands in a list of what is not.
//!
//! Each sample of each op becomes a program between ports of fp16, which is what every chip carries, and another one for
//! its gradients. Both are legalized and checked for 5 chips and 3 routes.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{
    Chip, DType, Graph, Literal, Route, Target, Tensor, TensorType, TypeError, Value,
    autodiff::vjp,
    ops::{OpDef, Sample},
    passes::{self, LEGALIZE},
    testing,
};
use ane_mil::{Violation, check};

/// Which program of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Op,
    Gradient,
}

/// An op between ports of fp16. Truth values are made of numbers inside.
///
/// Integers are data, such as indices that are known. Where an op takes nothing else they are cast from numbers.
struct Program {
    graph: Graph,
    /// The operands that can have gradients.
    wrt: Vec<Value>,
    results: Vec<Value>,
}

impl Program {
    fn of<O: OpDef>(sample: &Sample<O>) -> Result<Self, TypeError> {
        let mut g = Graph::new();
        let mut wrt = Vec::new();
        let mut xs = Vec::new();
        let is_real = |ty: &TensorType| ty.dtype.is_float() || ty.dtype == DType::Bool;
        let has_real = sample.operands.iter().any(|(ty, _)| is_real(ty));
        for (i, (ty, fill)) in sample.operands.iter().enumerate() {
            if has_real && !is_real(ty) {
                let data: Tensor<f64> = testing::tensor(ty, *fill, i as u64 + 1);
                xs.push(g.constant(Literal::from_f64(ty.clone(), &data.data))?);
                continue;
            }
            let port = TensorType::fp16(ty.shape.clone());
            let x = g.input(&format!("x{i}"), port).unwrap();
            xs.push(match ty.dtype {
                DType::Bool => {
                    let half = g.scalar(DType::Fp16, 0.5)?;
                    g.greater(x, half)?
                }
                float if float.is_float() => {
                    wrt.push(x);
                    x
                }
                integer => g.cast(x, integer)?,
            });
        }
        let results = g.push_segments(sample.op.clone(), &xs, &sample.segments)?;
        Ok(Self {
            graph: g,
            wrt,
            results: results.to_vec(),
        })
    }

    /// The op alone.
    fn forward(mut self) -> Result<Graph, TypeError> {
        for (i, y) in self.results.into_iter().enumerate() {
            leave(&mut self.graph, &format!("y{i}"), y)?;
        }
        Ok(self.graph)
    }

    /// It and its gradients, from the operands and the cotangents; `None` where it has none.
    fn gradient(mut self) -> Result<Option<Graph>, TypeError> {
        let g = &mut self.graph;
        for (i, &y) in self.results.iter().enumerate() {
            leave(g, &format!("y{i}"), y)?;
        }
        self.results.retain(|&y| g.ty(y).dtype == DType::Fp16);
        let mut seeds = Vec::new();
        for (i, &y) in self.results.iter().enumerate() {
            let ty = g.ty(y).clone();
            seeds.push(g.input(&format!("ct{i}"), ty).unwrap());
        }
        let mut outputs = 0;
        // One by one: an operand without a derivative does not take that of the others.
        for &x in &self.wrt {
            let Ok(gradients) = vjp(g, &self.results, &seeds, &[x]) else {
                continue;
            };
            for gradient in gradients.into_iter().flatten() {
                leave(g, &format!("d{outputs}"), gradient)?;
                outputs += 1;
            }
        }
        Ok((outputs > 0).then_some(self.graph))
    }
}

/// Makes `y` an output of fp16, doubled: programs that compute nothing are refused.
fn leave(g: &mut Graph, name: &str, y: Value) -> Result<(), TypeError> {
    let y = match g.ty(y).dtype {
        DType::Fp16 => y,
        DType::Bool => {
            let (one, zero) = (g.scalar(DType::Fp16, 1.0)?, g.scalar(DType::Fp16, 0.0)?);
            g.select(y, one, zero)?
        }
        _ => g.cast(y, DType::Fp16)?,
    };
    let y = g.add(y, y)?;
    g.output(name, y).unwrap();
    Ok(())
}

/// Whether an operand or a result has no axis or more than five, which the rule `rank` refuses of any op.
fn has_no_port<O: OpDef>(sample: &Sample<O>) -> bool {
    let g = testing::graph_of(sample);
    g.values().any(|v| !(1..=5).contains(&g.ty(v).shape.rank()))
}

/// Ops that a target lacks, and what cannot be done there.
struct Lacking {
    ops: &'static [&'static str],
    parts: &'static [Part],
    routes: &'static [Route],
}

/// Everything else is legal. Models that need one of these leave it to the host.
const LACKING: &[Lacking] = &[
    // A sweep through e5rt was refused; other routes have them.
    Lacking {
        ops: &["cast", "gather", "gather_along_axis", "reduce_argmax"],
        parts: &[Part::Op],
        routes: &[Route::E5rt],
    },
    Lacking {
        ops: &["one_hot", "scatter"],
        parts: &[Part::Op],
        routes: &Route::ALL,
    },
    // The gradient of a gather is a scatter.
    Lacking {
        ops: &["gather", "gather_along_axis", "scatter"],
        parts: &[Part::Gradient],
        routes: &Route::ALL,
    },
];

/// Ops of data alone, which no program computes.
const DATA: [&str; 2] = ["const", "fill"];

fn is_lacking(op: &str, part: Part, target: &Target) -> bool {
    LACKING
        .iter()
        .any(|l| l.ops.contains(&op) && l.parts.contains(&part) && l.routes.contains(&target.route))
}

/// The rules by which a target refuses a program.
fn refusals(graph: &Graph, target: &Target) -> Vec<String> {
    let legal = passes::run(graph, target, LEGALIZE).unwrap();
    let violations = check(legal, target).err().unwrap_or_default();
    violations.iter().map(Violation::to_string).collect()
}

/// Every sample in both parts on every target.
fn legal<O: OpDef>() {
    let mut programs = 0;
    for sample in O::samples() {
        if has_no_port(&sample) {
            continue;
        }
        let Ok(forward) = Program::of(&sample).and_then(Program::forward) else {
            continue;
        };
        let gradient = Program::of(&sample).and_then(Program::gradient).unwrap();
        for (part, graph) in [(Part::Op, Some(forward)), (Part::Gradient, gradient)] {
            let Some(graph) = graph.filter(|g| !g.inputs().is_empty()) else {
                continue;
            };
            let casts = graph.nodes().iter().filter(|n| n.op.name() == "cast");
            // One from fp16 to fp16 is none.
            let has_cast = casts
                .flat_map(|n| [n.operands[0], n.results[0]])
                .any(|v| graph.ty(v).dtype != DType::Fp16);
            if O::NAME == "cast" && !has_cast {
                continue;
            }
            programs += 1;
            for chip in Chip::HARDWARE {
                for route in Route::ALL {
                    let target = Target::new(chip, route);
                    // Integers cannot be made of numbers there.
                    if has_cast && is_lacking("cast", Part::Op, &target) && O::NAME != "cast" {
                        continue;
                    }
                    let refused = refusals(&graph, &target);
                    assert_eq!(
                        refused.is_empty(),
                        !is_lacking(O::NAME, part, &target),
                        "{part:?} of `{}` on {target}: {refused:#?}\n{graph}",
                        O::NAME
                    );
                    assert!(
                        refused.iter().all(|r| r.contains("[op_support]")),
                        "{refused:#?}"
                    );
                }
            }
        }
    }
    assert_eq!(
        programs == 0,
        DATA.contains(&O::NAME),
        "{programs} programs"
    );
}

macro_rules! suites {
    ($($module:ident::$op:ident,)*) => {
        $(#[test] fn $module() { legal::<ane_ir::ops::$module::$op>() })*
    };
}
ane_ir::for_each_op!(suites);
