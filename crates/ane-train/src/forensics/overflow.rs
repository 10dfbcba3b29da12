//! The first tensor that overflows or is not finite.
//!
//! A tensor is to blame when it is infinite, or NaN, and nothing that it was made of is; an infinite constant, such as the
//! one that masks attention, is no fault. Finite tensors are held to the limits that the step itself is judged by
//! (`step/overflow.rs`).

use super::{LARGEST_FP16, Roles, Scene, Source, Suspect, What};
use crate::{
    loss_scale::GRADIENT_LIMIT,
    step::{LARGEST_STATE_ACCEPTED, PRODUCT, Watched, watched},
};
use ane_ir::{Def, Evaluated, Node, Numerics, Real, Single, Tensor, Value, eval_nodes, ops::Op};
use std::ops::ControlFlow;

/// Which numbers of a tensor are not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Extremes {
    nan: bool,
    infinite: bool,
    /// Largest magnitude among the finite ones.
    largest: f64,
}

impl Extremes {
    fn of(elements: impl Iterator<Item = f64>) -> Self {
        let mut found = Self::default();
        for x in elements {
            if x.is_nan() {
                found.nan = true;
            } else if x.is_infinite() {
                found.infinite = true;
            } else {
                found.largest = found.largest.max(x.abs());
            }
        }
        found
    }
}

/// The first tensor of a step that overflows or is not finite.
pub(super) fn first(scene: &Scene<'_>, roles: &Roles) -> Option<Suspect> {
    let g = &scene.step.graph;
    let limits = limits(scene, roles);
    let mut extremes = vec![Extremes::default(); g.values().len()];
    for (i, (&v, x)) in g.inputs().iter().zip(scene.inputs).enumerate() {
        if !g.ty(v).dtype.is_float() {
            continue;
        }
        let found = Extremes::of(x.to_f64().into_iter());
        extremes[v.index()] = found;
        if found.nan || found.infinite {
            return Some(Suspect {
                source: Source::Input(i),
                what: if found.nan {
                    What::NotFinite
                } else {
                    What::Overflow
                },
                magnitude: f64::INFINITY,
                limit: LARGEST_FP16,
            });
        }
    }
    let mut suspect = None;
    let on_host = |node| scene.is_on_host(node);
    let evaluated = eval_nodes(g, scene.inputs, scene.numerics, on_host, |seen| {
        suspect = judged(scene, seen, &limits, &mut extremes);
        match suspect {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    evaluated.expect("the ports have the types of the graph's inputs");
    suspect
}

/// What is wrong with the results of a node, whose extremes are noted.
fn judged(
    scene: &Scene<'_>,
    seen: &Evaluated<'_, Single>,
    limits: &[Option<f64>],
    extremes: &mut [Extremes],
) -> Option<Suspect> {
    let node = &scene.step.graph.nodes()[seen.node];
    let read = |is: fn(&Extremes) -> bool| node.operands.iter().any(|x| is(&extremes[x.index()]));
    let (reads_nan, reads_infinite) = (read(|x| x.nan), read(|x| x.infinite));
    let mut suspect = None;
    for (&v, y) in node.results.iter().zip(seen.results) {
        if !y.ty.dtype.is_float() {
            continue;
        }
        let found = Extremes::of(y.data.iter().map(|e| e.to_f64()));
        extremes[v.index()] = found;
        if matches!(node.op, Op::Const(_)) || suspect.is_some() {
            continue;
        }
        let blamed = |what, magnitude, limit| {
            Some(Suspect {
                source: Source::Node(seen.node),
                what,
                magnitude,
                limit,
            })
        };
        let limit = limits[v.index()];
        if found.nan && !reads_nan {
            suspect = blamed(What::NotFinite, f64::NAN, LARGEST_FP16);
        } else if found.infinite && !reads_nan && !reads_infinite {
            let magnitude = unrounded(node, seen);
            let largest = product_limit(&node.op, scene.numerics).unwrap_or(LARGEST_FP16);
            suspect = match magnitude.is_finite() {
                true => blamed(What::Overflow, magnitude, limit.unwrap_or(largest)),
                false => blamed(What::NotFinite, magnitude, largest),
            };
        } else if let Some(limit) = limit.filter(|&limit| found.largest >= limit) {
            suspect = blamed(What::Overflow, found.largest, limit);
        }
    }
    suspect
}

/// Largest magnitude that a node makes when nothing is rounded and nothing ends.
pub(super) fn unrounded(node: &Node, seen: &Evaluated<'_, Single>) -> f64 {
    let results: Vec<Tensor<Single>> = node.op.eval(&node.view(seen.operands), &Numerics::exact());
    let all = results.iter().flat_map(|y| &y.data);
    all.fold(0.0, |most, e| match e.to_f64().abs() {
        x if x.is_nan() => f64::NAN,
        x => x.max(most),
    })
}

/// Where the engine makes products of fp16 infinite.
fn product_limit(op: &Op, numerics: &Numerics) -> Option<f64> {
    let is_product = matches!(
        op,
        Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_) | Op::Matmul(_)
    );
    numerics.matmul_limit.filter(|_| is_product).map(f64::from)
}

/// By value: the magnitude that it may not reach although fp16 holds it.
fn limits(scene: &Scene<'_>, roles: &Roles) -> Vec<Option<f64>> {
    let (step, g) = (scene.step, &scene.step.graph);
    let mut limits: Vec<Option<f64>> = vec![None; g.values().len()];
    let mut lower = |v: Value, limit: f64| {
        let known = &mut limits[v.index()];
        *known = Some(known.map_or(limit, |k| k.min(limit)));
    };
    // What cuts parameters out of packed ports is no part of the model.
    let cuts = |n: &Node| match n.operands.first().map(|&x| (x, g.def(x))) {
        Some((x, Def::Input(_))) => step.packed.iter().any(|p| p.name == g.port(x)),
        _ => false,
    };
    let nodes = |backward: bool| {
        let all = g.nodes().iter().enumerate();
        let wanted = all.filter(move |&(i, n)| {
            g.place(i).is_gradient() == backward
                && !(roles.is_update(i) || scene.is_on_host(i) || cuts(n))
        });
        wanted.map(|(_, n)| n)
    };
    for Watched { value, limit } in watched(nodes(false), &scene.target, true) {
        // Products have theirs by becoming infinite.
        if limit < PRODUCT {
            lower(value, next_above(limit));
        }
    }
    let backward = watched(nodes(true), &scene.target, false);
    if backward.is_empty() {
        // Nothing is summed up there: the gradients are all that is looked at.
        let gradients = step.gradients.iter();
        for v in gradients.filter_map(|port| step.output_value(port)) {
            lower(v, f64::from(GRADIENT_LIMIT));
        }
    }
    for Watched { value, limit } in backward {
        lower(value, f64::from(GRADIENT_LIMIT) * limit / PRODUCT);
    }
    for port in &step.state {
        if let Some(v) = step.output_value(&port.new) {
            lower(v, LARGEST_STATE_ACCEPTED);
        }
    }
    limits
}

/// The next larger fp16 number: a limit that may be reached is one that this may not be.
fn next_above(limit: f64) -> f64 {
    let x = half::f16::from_f64(limit);
    half::f16::from_bits(x.to_bits() + 1).to_f64()
}
