//! The engine against the definitions: every op, every instruction set, one thread and several.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, Plan, Pool, SharedBuffer, simd::Isa};
use ane_ir::{
    Chip, DType, Graph, MAX_RANK, NonFinite, Numerics, Route, Shape, Target, Tensor, TensorType,
    eval,
    ops::{Fill, OpDef, Tolerance, gelu::Mode},
    testing,
};
use support::{available, bits, buffer, policies, run};

/// Values of both signs for every input.
fn signed(g: &Graph) -> Vec<Tensor<f32>> {
    let inputs = g.inputs().iter().enumerate();
    inputs
        .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
        .collect()
}

/// Every result computed exactly of the operands' magnitudes: what the errors of sums are relative to.
fn magnitudes(g: &Graph, xs: &[Tensor<f32>]) -> Vec<Tensor<f64>> {
    let of = |x: &Tensor<f32>| {
        let magnitudes = x.data.iter().map(|e| f64::from(e.abs()));
        Tensor::new(x.ty.clone(), magnitudes.collect())
    };
    let xs: Vec<Tensor<f64>> = xs.iter().map(of).collect();
    eval(g, &xs, &Numerics::exact()).unwrap()
}

fn check<O: OpDef>() {
    for s in O::samples() {
        let g = testing::graph_of(&s);
        let xs: Vec<Tensor<f32>> = testing::operands(&s);
        for numerics in policies() {
            let want = eval(&g, &xs, &numerics).unwrap();
            let magnitudes = magnitudes(&g, &xs);
            for isa in available() {
                let options = Options {
                    numerics: numerics.clone(),
                    isa,
                };
                let one = run(&g, &xs, options.clone(), 1);
                let two = run(&g, &xs, options, 2);
                assert_eq!(bits(&one), bits(&two), "{isa}, threads\n{g}");
                for ((want, found), magnitude) in want.iter().zip(&one).zip(&magnitudes) {
                    for ((&w, &f), &m) in want.data.iter().zip(&found.data).zip(&magnitude.data) {
                        assert!(
                            near(O::tolerance(), want.ty.dtype, w, f, MOST_TERMS * m),
                            "{isa}, {numerics:?}: expected {w:e}, found {f:e}\n{g}"
                        );
                    }
                }
            }
        }
    }
}

/// At most 70 terms are summed in any sample.
const MOST_TERMS: f64 = 70.0;

/// Whether a result is what was expected; the errors of a sum are relative to `magnitude`, its terms' times their number.
fn near(tolerance: Tolerance, dtype: DType, want: f32, found: f32, magnitude: f64) -> bool {
    let (w, f) = (f64::from(want), f64::from(found));
    match tolerance {
        _ if want.to_bits() == found.to_bits() || (w.is_nan() && f.is_nan()) => true,
        // Whole numbers have one zero.
        _ if w == f && !matches!(dtype, DType::Fp16 | DType::Fp32) => true,
        Tolerance::Exact => false,
        _ if w == f => true,
        Tolerance::Ulps(n) => testing::fp16_ulps(w, f) <= n,
        Tolerance::Sum => {
            let bound = 2.0_f64.powi(-24) * magnitude;
            (w - f).abs() <= bound || (dtype == DType::Fp16 && testing::fp16_ulps(w, f) <= 1)
        }
    }
}

macro_rules! suites {
    ($($module:ident::$op:ident,)*) => {
        mod agrees_with_eval {
            $(#[test] fn $module() { super::check::<ane_ir::ops::$module::$op>() })*
        }
    };
}
ane_ir::for_each_op!(suites);

/// Functions of the next test that round once and have one right answer.
const EXACT: usize = 19;

#[test]
fn every_fp16_value_goes_through_every_elementwise_function_as_defined() {
    let ty = TensorType::fp16([256, 256]);
    let all: Vec<f32> = (0..=u16::MAX)
        .map(|b| half::f16::from_bits(b).to_f32())
        .collect();
    let x = Tensor::new(ty.clone(), all);
    let mut g = Graph::new();
    let v = g.input("x", ty).unwrap();
    let half_ = g.scalar(DType::Fp16, 0.5).unwrap();
    let exact = [
        g.relu(v),
        g.abs(v),
        g.sign(v),
        g.sqrt(v),
        g.add(v, half_),
        g.mul(v, half_),
        g.real_div(half_, v),
        g.maximum(v, half_),
        g.minimum(v, half_),
        g.rsqrt(v, 0.0),
        g.clip(v, -0.3, 6.0),
        g.leaky_relu(v, 0.01),
        g.floor(v),
        g.ceil(v),
        g.round(v),
        g.square(v),
        g.inverse(v, 1e-4),
        g.softsign(v),
        g.sigmoid_hard(v, 1.0 / 6.0, 0.5),
    ];
    assert_eq!(exact.len(), EXACT);
    let two = g.scalar(DType::Fp16, 2.0).unwrap();
    let within_an_ulp = [
        g.exp(v),
        g.log(v, 0.0),
        g.tanh(v),
        g.erf(v),
        g.sigmoid(v),
        g.silu(v),
        g.softplus(v),
        g.gelu(v, Mode::Exact),
        g.gelu(v, Mode::TanhApproximation),
        g.gelu(v, Mode::SigmoidApproximation),
        g.rsqrt(v, 1e-3),
        g.pow(v, half_),
        g.pow(v, two),
        g.sin(v),
        g.cos(v),
        g.elu(v, 0.5),
    ];
    for (i, y) in exact.into_iter().chain(within_an_ulp).enumerate() {
        g.output(&format!("y{i}"), y.unwrap()).unwrap();
    }
    for numerics in policies() {
        let want = eval(&g, std::slice::from_ref(&x), &numerics).unwrap();
        for isa in available() {
            let options = Options {
                numerics: numerics.clone(),
                isa,
            };
            let found = run(&g, std::slice::from_ref(&x), options, 2);
            for (i, (w, f)) in want.iter().zip(&found).enumerate() {
                let tolerance = if i < EXACT {
                    Tolerance::Exact
                } else {
                    Tolerance::Ulps(1)
                };
                for ((&w, &f), x) in w.data.iter().zip(&f.data).zip(&x.data) {
                    assert!(
                        near(tolerance, DType::Fp16, w, f, 0.0),
                        "{isa} y{i}({x:e}): expected {w:e}, found {f:e}, {numerics:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn long_sums_stay_within_the_bound_of_their_length() {
    let (m, n, k) = (5, 70, 784);
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([m, k])).unwrap();
    let y = g.input("y", TensorType::fp16([k, n])).unwrap();
    let product = g.matmul(x, y, false, false).unwrap();
    let sum = g.reduce_sum(x, &[1], true).unwrap();
    let mean = g.reduce_mean(x, &[0, 1], true).unwrap();
    for (name, v) in [("product", product), ("sum", sum), ("mean", mean)] {
        g.output(name, v).unwrap();
    }
    let xs = signed(&g);
    let magnitudes = magnitudes(&g, &xs);
    let h13 = Numerics::of(&Target::new(Chip::H13, Route::E5rt));
    for numerics in [Numerics::ieee(), h13] {
        let want = eval(&g, &xs, &numerics).unwrap();
        for isa in available() {
            let options = Options {
                numerics: numerics.clone(),
                isa,
            };
            let found = run(&g, &xs, options, 2);
            for ((want, found), magnitude) in want.iter().zip(&found).zip(&magnitudes) {
                for ((&w, &f), &m) in want.data.iter().zip(&found.data).zip(&magnitude.data) {
                    let bound = m * (k * 5) as f64 * 2.0_f64.powi(-24);
                    let within = (f64::from(w) - f64::from(f)).abs() <= bound
                        || testing::fp16_ulps(w.into(), f.into()) <= 1;
                    assert!(within, "{isa}: expected {w:e}, found {f:e}");
                }
            }
        }
    }
}

#[test]
fn large_products_are_shared_by_two_threads_and_keep_their_bits() {
    let (m, n, k) = (128, 784, 512);
    for (tx, ty) in [(false, false), (false, true), (true, false)] {
        let mut g = Graph::new();
        let sx = if tx { [k, m] } else { [m, k] };
        let sy = if ty { [n, k] } else { [k, n] };
        let x = g.input("x", TensorType::fp16(sx)).unwrap();
        let y = g.input("y", TensorType::fp16(sy)).unwrap();
        let z = g.matmul(x, y, tx, ty).unwrap();
        let z = g.relu(z).unwrap();
        g.output("z", z).unwrap();
        let xs: Vec<Tensor<f32>> = [x, y]
            .iter()
            .enumerate()
            .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
            .collect();
        let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
        let inputs: Vec<SharedBuffer> = xs.iter().map(buffer).collect();
        let output = SharedBuffer::new(m * n * 2);
        let mut results = Vec::new();
        for threads in [1, 2] {
            let pool = Pool::new(threads).unwrap();
            let mut bound = plan
                .bind(&inputs, std::slice::from_ref(&output), threads)
                .unwrap();
            // A thread comes when the system lets it, and not at all where there is one processor.
            let can_come = std::thread::available_parallelism().is_ok_and(|n| n.get() >= threads);
            let all_worked = (0..10_000).any(|_| {
                bound.execute(&pool);
                bound.tasks_by_thread().iter().all(|&t| t > 0)
            });
            assert!(all_worked || !can_come, "{:?}", bound.tasks_by_thread());
            results.push(output.read(<[u8]>::to_vec));
        }
        assert!(results[0] == results[1]);
    }
}

#[test]
fn a_chain_that_reads_its_product_twice_and_reduces_it_is_one_with_eval() {
    // The shape of a backward product: stored, and its magnitude reduced, in one pass.
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([40, 33])).unwrap();
    let w = g.input("w", TensorType::fp16([70, 33])).unwrap();
    let b = g.input("b", TensorType::fp16([70])).unwrap();
    let z = g.matmul(x, w, false, true).unwrap();
    let z = g.add(z, b).unwrap();
    let h = g.relu(z).unwrap();
    let zero = g.scalar(DType::Fp16, 0.0).unwrap();
    let p = g.greater(h, zero).unwrap();
    let masked = g.select(p, z, zero).unwrap();
    let a = g.abs(masked).unwrap();
    let max = g.reduce_max(a, &[0, 1], true).unwrap();
    let shape = Shape::new(&[70, 40]);
    let view = g.reshape(masked, &shape).unwrap();
    g.output("h", h).unwrap();
    g.output("max", max).unwrap();
    g.output("view", view).unwrap();
    let xs = signed(&g);
    let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
    for isa in available() {
        let options = Options {
            numerics: Numerics::ieee(),
            isa,
        };
        for threads in [1, 2] {
            assert_eq!(
                bits(&run(&g, &xs, options.clone(), threads)),
                bits(&want),
                "{isa}"
            );
        }
    }
}

#[test]
fn nan_and_infinity_follow_the_policy() {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([4])).unwrap();
    let s = g.scalar(DType::Fp16, 2.0).unwrap();
    let y = g.mul(x, s).unwrap();
    let a = g.abs(x).unwrap();
    let m = g.reduce_max(a, &[0], true).unwrap();
    g.output("y", y).unwrap();
    g.output("m", m).unwrap();
    let x = Tensor::new(
        TensorType::fp16([4]),
        vec![f32::NAN, f32::INFINITY, 40_000.0, 1.0],
    );
    for non_finite in [NonFinite::Ieee, NonFinite::Silicon] {
        let numerics = Numerics {
            non_finite,
            ..Numerics::ieee()
        };
        let want = eval(&g, std::slice::from_ref(&x), &numerics).unwrap();
        let found = run(&g, std::slice::from_ref(&x), Options::new(numerics), 1);
        for (w, f) in want.iter().zip(&found) {
            for (w, f) in w.data.iter().zip(&f.data) {
                assert!(
                    w.to_bits() == f.to_bits() || (w.is_nan() && f.is_nan()),
                    "{w} {f}"
                );
            }
        }
    }
}

mod random {
    use super::*;
    use ane_ir::{Value, ops::Op, passes};
    use proptest::prelude::*;

    fn config(seed: u64) -> ProptestConfig {
        ProptestConfig {
            cases: 60,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
            ..ProptestConfig::default()
        }
    }

    /// The graph with every value an output.
    fn opened(g: &Graph) -> Graph {
        let mut g = g.clone();
        for v in g.values() {
            let is_port = g.inputs().contains(&v) || g.outputs().contains(&v);
            if !is_port {
                g.output(&format!("value{}", v.index()), v).unwrap();
            }
        }
        g
    }

    /// Every value of the graph is what its op makes of the values that the engine itself computed for the operands, to
    /// the tolerance of the op; and the graph's outputs have the same bits when nothing else leaves it.
    fn follows_the_definitions(g: &Graph, numerics: &Numerics) -> Result<(), TestCaseError> {
        let xs = signed(g);
        let options = Options::new(numerics.clone());
        let open = opened(g);
        let found = run(&open, &xs, options.clone(), 2);
        prop_assert_eq!(
            bits(&found),
            bits(&run(&open, &xs, options.clone(), 1)),
            "{}",
            g
        );
        prop_assert_eq!(
            bits(&found[..g.outputs().len()]),
            bits(&run(g, &xs, options, 2)),
            "{}",
            g
        );
        let value = |v: Value| -> &Tensor<f32> {
            let output = open.outputs().iter().position(|&o| o == v);
            let input = || open.inputs().iter().position(|&i| i == v).unwrap();
            output.map_or_else(|| &xs[input()], |at| &found[at])
        };
        for node in open.nodes() {
            let operands: Vec<&Tensor<f32>> = node.operands.iter().map(|&x| value(x)).collect();
            let want = node.op.eval(&node.view(&operands), numerics);
            let sizes: Vec<Tensor<f64>> = operands
                .iter()
                .map(|x| {
                    let sizes = x.data.iter().map(|e| f64::from(e.abs()));
                    Tensor::new(x.ty.clone(), sizes.collect())
                })
                .collect();
            let sizes: Vec<&Tensor<f64>> = sizes.iter().collect();
            let magnitudes = node.op.eval(&node.view(&sizes), &Numerics::exact());
            let terms = operands.iter().map(|x| x.data.len()).max().unwrap_or(1) as f64;
            for ((&y, want), magnitude) in node.results.iter().zip(&want).zip(&magnitudes) {
                let found = value(y);
                for ((&w, &f), &m) in want.data.iter().zip(&found.data).zip(&magnitude.data) {
                    prop_assert!(
                        near(node.op.tolerance(), want.ty.dtype, w, f, m * terms),
                        "{} of {}: expected {:e}, found {:e}, {:?}\n{}",
                        y,
                        node.op.name(),
                        w,
                        f,
                        numerics,
                        g
                    );
                }
            }
        }
        Ok(())
    }

    #[test]
    fn graphs_of_every_rank_follow_the_definitions_on_every_route() {
        for seed in testing::seeds() {
            proptest!(config(seed), |(
                choices in proptest::collection::vec(any::<u8>(), 3..60),
                target in 0..Chip::HARDWARE.len() * Route::ALL.len(),
                pessimistic in any::<bool>(),
            )| {
                let g = testing::random_graph(&choices);
                follows_the_definitions(&g, &Numerics::ieee())?;
                let chip = Chip::HARDWARE[target / Route::ALL.len()];
                let target = Target::new(chip, Route::ALL[target % Route::ALL.len()]);
                let legal = passes::run(&g, &target, passes::LEGALIZE).unwrap();
                let numerics = Numerics::of(&target);
                let numerics = if pessimistic { numerics.pessimistic() } else { numerics };
                follows_the_definitions(&legal, &numerics)?;
            });
        }
    }

    #[test]
    fn graphs_with_wide_intermediates_agree_with_eval_where_that_is_exact() {
        let compared = std::cell::Cell::new(0);
        for seed in testing::seeds() {
            // Short ones, which more often have no op but exact ones.
            let config = ProptestConfig {
                cases: 400,
                ..config(seed)
            };
            proptest!(config, |(choices in proptest::collection::vec(any::<u8>(), 6..24))| {
                let g = testing::random_graph(&choices);
                let numerics = Numerics::ieee().silicon();
                // Products of fp16 values are exact in f32 and summed in order on both sides.
                let is_exact = |n: &ane_ir::Node| {
                    n.op.tolerance() == Tolerance::Exact || matches!(n.op, Op::Matmul(_))
                };
                if g.nodes().iter().all(is_exact) {
                    let xs = signed(&g);
                    let want = eval(&g, &xs, &numerics).unwrap();
                    prop_assert_eq!(bits(&run(&g, &xs, Options::new(numerics), 2)), bits(&want), "{}", g);
                    compared.set(compared.get() + usize::from(g.nodes().len() > 1));
                }
            });
        }
        assert!(compared.get() > 20, "only {compared:?} graphs were exact");
    }
}

#[test]
fn passes_that_feed_each_other_are_not_merged_into_one() {
    // Two elementwise chains of one shape, with sums between them in both directions: each alone could be merged with
    // the other, but not both at once.
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([4, 10])).unwrap();
    let t = g.input("t", TensorType::fp16([4, 10])).unwrap();
    let d = g.sub(x, t).unwrap();
    let s = g.mul(d, d).unwrap();
    let m = g.reduce_mean(s, &[-1], true).unwrap();
    let k = g.mul(m, d).unwrap();
    let n = g.reduce_sum(k, &[-1], true).unwrap();
    let e = g.mul(n, d).unwrap();
    let f = g.add(e, k).unwrap();
    let h = g.mul(f, s).unwrap();
    g.output("h", h).unwrap();
    let xs = signed(&g);
    let options = Options::new(Numerics::ieee());
    let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
    let found = run(&g, &xs, options, 2);
    for (w, f) in want[0].data.iter().zip(&found[0].data) {
        assert!(
            testing::fp16_ulps(f64::from(*w), f64::from(*f)) <= 8,
            "{w} {f}"
        );
    }
}

#[test]
fn a_largest_element_is_not_read_by_the_pass_that_finds_it() {
    // With one element every shape is the same, so that the reader of the maximum looks elementwise.
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([1, 1])).unwrap();
    let v = g.relu(x).unwrap();
    let w = g.reduce_max(v, &[0, 1], true).unwrap();
    let z = g.add(v, w).unwrap();
    g.output("z", z).unwrap();
    let options = Options {
        numerics: Numerics::ieee(),
        isa: Isa::detect(),
    };
    let x = Tensor {
        ty: TensorType::fp16([1, 1]),
        data: vec![1.5],
    };
    assert_eq!(run(&g, &[x], options, 1)[0].data, [3.0]);
}

/// Lengths of the axes.
const LENGTHS: [usize; 8] = [2, 3, 1, 2, 3, 2, 4, 5];

/// Movement, broadcasting, sums and products over `rank` axes.
fn graph_of_rank(rank: usize) -> Graph {
    let dims = &LENGTHS[8 - rank..];
    let mut g = Graph::new();
    let ty = |dims: &[usize]| TensorType::new(DType::Fp32, Shape::new(dims));
    let x = g.input("x", ty(dims)).unwrap();
    let row = g.input("row", ty(&dims[rank - 2..])).unwrap();
    let sum = g.add(x, row).unwrap();
    let reversed: Vec<i32> = (0..rank as i32).rev().collect();
    let transposed = g.transpose(sum, &reversed).unwrap();
    let back = g.transpose(transposed, &reversed).unwrap();
    let product = g.mul(back, x).unwrap();
    g.output("product", product).unwrap();
    let outer = g
        .reduce_sum(transposed, &[0, 2, rank as i32 - 1], true)
        .unwrap();
    let centred = g.sub(transposed, outer).unwrap();
    g.output("centred", centred).unwrap();
    let largest = g.reduce_max(product, &[1, -1], false).unwrap();
    g.output("largest", largest).unwrap();
    let joined = g.concat(&[x, product], 1).unwrap();
    let mut begin = vec![0; rank];
    let mut size: Vec<i32> = dims.iter().map(|&d| d as i32).collect();
    (begin[1], size[1]) = (1, 2 * size[1] - 1);
    let cut = g.slice_by_size(joined, &begin, &size).unwrap();
    g.output("cut", cut).unwrap();
    let squares = g.matmul(x, x, false, true).unwrap();
    g.output("squares", squares).unwrap();
    g
}

#[test]
fn graphs_of_six_to_eight_axes_follow_the_definitions() {
    for rank in 6..=MAX_RANK {
        let g = graph_of_rank(rank);
        // Small whole numbers, whose sums are exact in any order.
        let value = |i: usize, k: usize| ((i * 7 + k * 3) % 11) as f32 - 5.0;
        let inputs = g.inputs().iter().enumerate();
        let xs: Vec<Tensor<f32>> = inputs
            .map(|(k, &v)| {
                let ty = g.ty(v).clone();
                let data = (0..ty.shape.numel()).map(|i| value(i, k)).collect();
                Tensor::new(ty, data)
            })
            .collect();
        let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
        for isa in available() {
            let options = Options {
                numerics: Numerics::ieee(),
                isa,
            };
            for threads in [1, 2] {
                let found = run(&g, &xs, options.clone(), threads);
                assert_eq!(bits(&found), bits(&want), "{rank} axes, {isa}\n{g}");
            }
        }
    }
}
