//! The suites of every op, one test per op and suite, from the op list.

#![allow(clippy::unwrap_used)]

use ane_ir::{
    Chip, DType, Graph, Numerics, Operands, Real, Route, Target, Tensor, TensorType, Value,
    autodiff::{Cotangent, VjpCx, vjp},
    eval,
    ops::{OpDef, Sample},
    passes, testing, verify,
};

fn samples<O: OpDef>() -> Vec<Sample<O>> {
    let samples = O::samples();
    assert!(!samples.is_empty(), "`{}` has no samples", O::NAME);
    samples
}

/// Inferred types are the types of evaluated results, and the graph is sound.
fn types<O: OpDef>() {
    for s in samples::<O>() {
        let g = testing::graph_of(&s);
        assert!(verify(&g).is_empty(), "{g}");
        let ys = eval::<f32>(&g, &testing::operands(&s), &Numerics::ieee()).unwrap();
        for (&v, y) in g.outputs().iter().zip(&ys) {
            assert_eq!(g.ty(v), &y.ty);
            assert_eq!(y.data.len(), y.ty.shape.numel());
            assert!(y.data.iter().all(|x| !x.is_nan()), "{g}");
        }
    }
}

/// Largest operand whose every element is moved to see what the results do.
const MOST_MOVED: usize = 40;

/// Gradients are central differences in f64, on at least one sample of every op that has a gradient.
fn gradients<O: OpDef>() {
    let (mut differentiable, mut checked) = (0, 0);
    for s in samples::<O>() {
        let forward = testing::graph_of(&s);
        let is_float = |v: &Value| forward.ty(*v).dtype.is_float();
        // Truth and integers have no derivative; `no_gradient` covers their rules.
        if !forward.outputs().iter().all(is_float) || !forward.inputs().iter().any(is_float) {
            continue;
        }
        differentiable += 1;
        if s.operands
            .iter()
            .any(|(ty, _)| ty.shape.numel() > MOST_MOVED)
        {
            continue;
        }
        checked += 1;
        let mut g = forward.clone();
        let ys: Vec<Value> = g.outputs().to_vec();
        let seeds: Vec<Value> = ys
            .iter()
            .enumerate()
            .map(|(i, &y)| g.input(&format!("ct{i}"), g.ty(y).clone()).unwrap())
            .collect();
        let wrt: Vec<Value> = forward.inputs().to_vec();
        let wrt: Vec<Value> = wrt
            .into_iter()
            .filter(|&x| g.ty(x).dtype.is_float())
            .collect();
        let grads = vjp(&mut g, &ys, &seeds, &wrt).unwrap();
        let cts: Vec<Tensor<f64>> = ys
            .iter()
            .enumerate()
            .map(|(i, &y)| testing::tensor(g.ty(y), ane_ir::ops::Fill::Signed, 90 + i as u64))
            .collect();
        let xs: Vec<Tensor<f64>> = testing::operands(&s);
        for (&x, grad) in wrt.iter().zip(grads) {
            let operand = forward.inputs().iter().position(|&v| v == x).unwrap();
            let analytic = match grad {
                None => Tensor::full(g.ty(x).clone(), 0.0),
                Some(gx) => {
                    assert_eq!(
                        g.ty(gx),
                        g.ty(x),
                        "type of the cotangent of operand {operand}"
                    );
                    let mut h = g.clone();
                    let gx = h.identity(gx).unwrap();
                    h.output("grad", gx).unwrap();
                    let mut inputs = xs.clone();
                    inputs.extend(cts.clone());
                    eval(&h, &inputs, &Numerics::exact())
                        .unwrap()
                        .pop()
                        .unwrap()
                }
            };
            for j in 0..analytic.data.len() {
                let step = 1e-5;
                let objective = |d: f64| {
                    let mut at = xs.clone();
                    at[operand].data[j] += d;
                    let ys = eval(&forward, &at, &Numerics::exact()).unwrap();
                    ys.iter()
                        .zip(&cts)
                        .flat_map(|(y, ct)| y.data.iter().zip(&ct.data))
                        .map(|(y, c)| y * c)
                        .sum::<f64>()
                };
                let numeric = (objective(step) - objective(-step)) / (2.0 * step);
                assert!(
                    (numeric - analytic.data[j]).abs() < 1e-6 * numeric.abs().max(1.0),
                    "operand {operand} element {j}: central difference {numeric}, vjp {}\n{forward}",
                    analytic.data[j]
                );
            }
        }
    }
    assert!(
        differentiable == 0 || checked > 0,
        "`{}` has no sample of at most {MOST_MOVED} elements",
        O::NAME
    );
}

/// Ops whose gradients hold constants of the size of a window, of one plane of an image, of one axis, or of one axis
/// before by one behind.
const HOLD_A_WINDOW_OR_AN_AXIS: [&str; 5] = [
    "avg_pool",
    "gather",
    "gather_along_axis",
    "max_pool",
    "upsample_bilinear",
];

/// No gradient holds data of the size of a tensor: what it repeats is a splat, what surrounds it is padding.
fn gradients_hold_no_data<O: OpDef>() {
    if HOLD_A_WINDOW_OR_AN_AXIS.contains(&O::NAME) {
        return;
    }
    for s in samples::<O>() {
        let mut g = testing::graph_of(&s);
        let forward = g.nodes().len();
        let ys: Vec<Value> = g.outputs().to_vec();
        let wrt: Vec<Value> = g.inputs().to_vec();
        // Every result alone too: rules fill in for those without a cotangent.
        for (i, ys) in std::iter::once(&ys[..]).chain(ys.chunks(1)).enumerate() {
            let mut seeds = Vec::new();
            for (j, &y) in ys.iter().enumerate() {
                let ty = g.ty(y).clone();
                seeds.push(g.input(&format!("ct{i}_{j}"), ty).unwrap());
            }
            vjp(&mut g, ys, &seeds, &wrt).unwrap();
        }
        for node in &g.nodes()[forward..] {
            let literal = g.literal(node.results[0]);
            assert!(literal.is_none_or(|l| l.splat_value().is_some()), "{g}");
            if node.op.name() == "concat" {
                let zeros = |&v: &Value| g.literal(v).is_some();
                assert!(!node.operands.iter().any(zeros), "{g}");
            }
        }
    }
}

/// Without an arriving cotangent no rule appends anything.
fn no_gradient<O: OpDef>() {
    for s in samples::<O>() {
        let mut g = testing::graph_of(&s);
        let node = g.nodes()[0].clone();
        let before = g.nodes().len();
        let mut cx = VjpCx {
            g: &mut g,
            xs: node.view(&node.operands),
            ys: &node.results,
        };
        let grads = node
            .op
            .vjp(&mut cx, &vec![None; node.results.len()])
            .unwrap();
        assert_eq!(grads.len(), node.operands.len());
        assert!(grads.iter().all(|c| matches!(c, Cotangent::Zero)));
        assert_eq!(g.nodes().len(), before);
    }
}

/// A decomposition is the op, up to constants being rounded to the dtype they are held in.
fn decomposes<O: OpDef>() {
    for s in samples::<O>() {
        if s.operands.iter().any(|(ty, _)| ty.dtype == DType::Fp16) {
            continue;
        }
        let g = testing::graph_of(&s);
        let mut d = Graph::new();
        let xs: Vec<Value> = g
            .inputs()
            .iter()
            .map(|&v| d.input(g.port(v), g.ty(v).clone()).unwrap())
            .collect();
        let Some(parts) =
            s.op.decompose(&mut d, &Operands::new(O::OPERANDS, &xs, &s.segments))
                .unwrap()
        else {
            continue;
        };
        for (i, y) in parts.into_iter().enumerate() {
            d.output(&format!("y{i}"), y).unwrap();
        }
        let xs: Vec<Tensor<f64>> = testing::operands(&s);
        let a = eval(&g, &xs, &Numerics::exact()).unwrap();
        let b = eval(&d, &xs, &Numerics::exact()).unwrap();
        for (x, y) in a.iter().zip(&b) {
            assert_eq!(x.ty, y.ty);
            for (x, y) in x.data.iter().zip(&y.data) {
                assert!((x - y).abs() <= 1e-6 * x.abs().max(1.0), "{x} {y}");
            }
        }
    }
}

/// Attributes survive the way through their MIL form.
fn attributes<O: OpDef + PartialEq + std::fmt::Debug>() {
    for s in samples::<O>() {
        let attrs = s.op.attrs();
        let mut get = |name: &str| {
            attrs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, a)| a.clone())
        };
        assert_eq!(O::from_attrs(&mut get), Ok(s.op));
    }
}

/// Passes keep the meaning: for a target without limits they change no bit.
fn legalizing_for_software_is_exact<O: OpDef>() {
    for s in samples::<O>() {
        let g = testing::graph_of(&s);
        let cleaned = passes::run(&g, &Target::SOFTWARE, passes::LEGALIZE).unwrap();
        let xs: Vec<Tensor<f32>> = testing::operands(&s);
        let a = eval(&g, &xs, &Numerics::ieee()).unwrap();
        let b = eval(&cleaned, &xs, &Numerics::ieee()).unwrap();
        for (x, y) in a.iter().zip(&b) {
            assert_eq!(bits(x), bits(y), "{g}\n{cleaned}");
        }
    }
}

/// The sample's op with its gradients, as far as it has some.
fn with_gradients<O: OpDef>(sample: &Sample<O>) -> Graph {
    let mut g = testing::graph_of(sample);
    let is_float = |g: &Graph, v: Value| g.ty(v).dtype.is_float();
    let ys: Vec<Value> = g.outputs().to_vec();
    let ys: Vec<Value> = ys.into_iter().filter(|&y| is_float(&g, y)).collect();
    let wrt: Vec<Value> = g.inputs().to_vec();
    let mut seeds = Vec::new();
    for (i, &y) in ys.iter().enumerate() {
        let ty = g.ty(y).clone();
        seeds.push(g.input(&format!("ct{i}"), ty).unwrap());
    }
    for (i, x) in wrt.into_iter().enumerate() {
        // One by one: an operand without a derivative does not take that of the others.
        if is_float(&g, x)
            && let Ok(gradients) = vjp(&mut g, &ys, &seeds, &[x])
            && let Some(gradient) = gradients[0]
        {
            let own = g.identity(gradient).unwrap();
            g.output(&format!("d{i}"), own).unwrap();
        }
    }
    g
}

/// What chips are given is the op and its gradient, lowered by whichever pass; but for the factor of a mean, which is
/// rounded to fp16 there. Ports are left as they are.
fn legalizing_for_chips_keeps_the_meaning<O: OpDef>() {
    let but_rows = passes::LEGALIZE.iter().filter(|p| p.name != "pad_rows");
    let but_rows: Vec<passes::Pass> = but_rows.copied().collect();
    for s in samples::<O>() {
        let g = with_gradients(&s);
        let mut xs: Vec<Tensor<f64>> = testing::operands(&s);
        for (i, &v) in g.inputs().iter().enumerate().skip(xs.len()) {
            xs.push(testing::tensor(
                g.ty(v),
                ane_ir::ops::Fill::Signed,
                i as u64,
            ));
        }
        let wanted = eval(&g, &xs, &Numerics::exact()).unwrap();
        for chip in Chip::HARDWARE {
            for route in [Route::E5rt, Route::Client] {
                let target = Target::new(chip, route);
                let legal = passes::run(&g, &target, &but_rows).unwrap();
                let found = eval(&legal, &xs, &Numerics::exact()).unwrap();
                for (want, found) in wanted.iter().zip(&found) {
                    assert_eq!(want.ty, found.ty);
                    let tolerance = match want.ty.dtype {
                        DType::Fp16 => 2e-3,
                        _ => 1e-6,
                    };
                    let largest = want.data.iter().fold(1.0, |l: f64, x| l.max(x.abs()));
                    for (x, y) in want.data.iter().zip(&found.data) {
                        let close =
                            (x - y).abs() <= tolerance * largest || (x.is_nan() && y.is_nan());
                        assert!(close, "{target}: {x} {y}\n{g}\n{legal}");
                    }
                }
            }
        }
    }
}

fn bits<T: Real>(t: &Tensor<T>) -> (TensorType, Vec<u32>) {
    let data = t.data.iter().map(|x| x.to_f32().to_bits()).collect();
    (t.ty.clone(), data)
}

macro_rules! suites {
    ($($module:ident::$op:ident,)*) => {
        $(mod $module {
            use ane_ir::ops::$module::$op;
            #[test] fn types() { super::types::<$op>() }
            #[test] fn gradients() { super::gradients::<$op>() }
            #[test] fn gradients_hold_no_data() { super::gradients_hold_no_data::<$op>() }
            #[test] fn no_gradient() { super::no_gradient::<$op>() }
            #[test] fn decomposes() { super::decomposes::<$op>() }
            #[test] fn attributes() { super::attributes::<$op>() }
            #[test] fn legalizing_for_software_is_exact() { super::legalizing_for_software_is_exact::<$op>() }
            #[test] fn legalizing_for_chips_keeps_the_meaning() { super::legalizing_for_chips_keeps_the_meaning::<$op>() }
        })*
    };
}
ane_ir::for_each_op!(suites);

mod random {
    use super::*;
    use proptest::prelude::*;

    fn config(seed: u64) -> ProptestConfig {
        ProptestConfig {
            cases: 200,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
            ..ProptestConfig::default()
        }
    }

    #[test]
    fn legalizing_for_software_changes_no_bit() {
        for seed in testing::seeds() {
            proptest!(config(seed), |(choices in proptest::collection::vec(any::<u8>(), 3..60))| {
                let g = testing::random_graph(&choices);
                prop_assert!(verify(&g).is_empty());
                let cleaned = passes::run(&g, &Target::SOFTWARE, passes::LEGALIZE).unwrap();
                let xs = inputs(&g);
                let a = eval(&g, &xs, &Numerics::ieee()).unwrap();
                let b = eval(&cleaned, &xs, &Numerics::ieee()).unwrap();
                for (x, y) in a.iter().zip(&b) {
                    prop_assert_eq!(x.data.iter().map(|e| e.to_bits()).collect::<Vec<_>>(),
                        y.data.iter().map(|e| e.to_bits()).collect::<Vec<_>>(), "{}\n{}", g, cleaned);
                }
            });
        }
    }

    #[test]
    fn legalizing_keeps_the_meaning() {
        for (seed, chip) in testing::seeds().zip(Chip::HARDWARE.into_iter().rev().cycle()) {
            let target = Target::new(chip, Route::E5rt);
            proptest!(config(seed), |(choices in proptest::collection::vec(any::<u8>(), 3..60))| {
                let g = testing::random_graph(&choices);
                let legal = passes::run(&g, &target, passes::LEGALIZE).unwrap();
                let xs: Vec<Tensor<f64>> = inputs(&g).iter().map(Tensor::convert).collect();
                let a = eval(&g, &xs, &Numerics::exact()).unwrap();
                let b = eval(&legal, &xs, &Numerics::exact()).unwrap();
                for (x, y) in a.iter().zip(&b) {
                    for (x, y) in x.data.iter().zip(&y.data) {
                        // Values that cancel to nothing amplify the order of the sums without bound.
                        let close = (x - y).abs() <= 1e-6 * x.abs().max(1.0) || x.abs() > 1e6;
                        prop_assert!(close || (x.is_nan() && y.is_nan()), "{} {}\n{}\n{}", x, y, g, legal);
                    }
                }
            });
        }
    }

    fn inputs(g: &Graph) -> Vec<Tensor<f32>> {
        g.inputs()
            .iter()
            .enumerate()
            .map(|(i, &v)| testing::tensor(g.ty(v), ane_ir::ops::Fill::Signed, i as u64))
            .collect()
    }
}
