//! The fused update against Adam, AdamW and SGD in f64, over the whole range it is made for.

#![allow(clippy::unwrap_used)]

use ane_ir::{Graph, Numerics, Tensor, TensorType, Value, eval};
use ane_train::optim::{
    Adam, AdamW, OptimizerConfig, Sgd, StepInfo,
    pair::{GRADIENT_UNIT, Pair, join, split},
};

/// The update of `n` elements as a graph: gradient in units, scalars, pairs in; pairs out.
fn graph(optimizer: &OptimizerConfig, n: usize) -> Graph {
    let o = optimizer.as_dyn();
    let mut g = Graph::new();
    let ty = TensorType::fp16([1, n]);
    let gradient = g.input("gradient", ty.clone()).unwrap();
    let scalars: Vec<Value> = o
        .scalars()
        .iter()
        .map(|s| g.input(s, TensorType::fp16([1, 1])).unwrap())
        .collect();
    let mut pair = |name: &str| Pair {
        hi: g.input(name, ty.clone()).unwrap(),
        lo: g.input(&format!("{name}_lo"), ty.clone()).unwrap(),
    };
    let weight = pair("weight");
    let state: Vec<Pair> = o.state().iter().map(|s| pair(s)).collect();
    let (weight, state) = o.fuse(&mut g, gradient, weight, &state, &scalars).unwrap();
    for (i, p) in std::iter::once(weight).chain(state).enumerate() {
        g.output(&format!("new_{i}"), p.hi).unwrap();
        g.output(&format!("new_{i}_lo"), p.lo).unwrap();
    }
    g
}

/// Weights after `steps` updates with gradients `gradient(step, element)`, from `start`.
fn run(
    optimizer: &OptimizerConfig,
    numerics: &Numerics,
    start: &[f32],
    lr: f64,
    steps: u64,
    gradient: impl Fn(u64, usize) -> f64,
) -> Vec<f32> {
    let n = start.len();
    let g = graph(optimizer, n);
    let ty = TensorType::fp16([1, n]);
    let store = |x: f32| numerics.store(ane_ir::DType::Fp16, x);
    let tensor = |x: Vec<f32>| Tensor::new(ty.clone(), x.into_iter().map(store).collect());
    let (hi, lo): (Vec<f32>, Vec<f32>) = start.iter().map(|&x| split(x)).unzip();
    let mut state = vec![tensor(hi), tensor(lo)];
    for _ in optimizer.as_dyn().state() {
        state.extend([tensor(vec![0.0; n]), tensor(vec![0.0; n])]);
    }
    for t in 1..=steps {
        let at = StepInfo {
            t,
            lr,
            loss_scale: 1.0,
            clip: 1.0,
        };
        let units = (0..n)
            .map(|i| (gradient(t, i) * GRADIENT_UNIT) as f32)
            .collect();
        let mut inputs = vec![tensor(units)];
        for s in optimizer.as_dyn().scalar_values(&at) {
            assert!(
                s == 0.0 || s >= 2.0_f64.powi(-14),
                "scalar {s:e} would be flushed"
            );
            inputs.push(Tensor::full(TensorType::fp16([1, 1]), store(s as f32)));
        }
        inputs.extend(state);
        state = eval(&g, &inputs, numerics).unwrap();
        assert!(
            state.iter().all(|t| t.data.iter().all(|x| x.is_finite())),
            "step {t}"
        );
    }
    state[0]
        .data
        .iter()
        .zip(&state[1].data)
        .map(|(&h, &l)| join(h, l))
        .collect()
}

/// Adam in f64, with AdamW's decay of the weight.
fn adam(
    decay: f64,
    start: &[f32],
    lr: f64,
    steps: u64,
    gradient: impl Fn(u64, usize) -> f64,
) -> Vec<f64> {
    let (b1, b2, eps) = (0.9_f64, 0.999_f64, 1e-8);
    start
        .iter()
        .enumerate()
        .map(|(i, &p)| {
            let (mut p, mut m, mut v) = (f64::from(p), 0.0, 0.0);
            for t in 1..=steps {
                let g = gradient(t, i);
                p -= lr * decay * p;
                m = b1 * m + (1.0 - b1) * g;
                v = b2 * v + (1.0 - b2) * g * g;
                let c = (1.0 - b1.powf(t as f64), (1.0 - b2.powf(t as f64)).sqrt());
                p -= lr / c.0 * m / (v.sqrt() / c.1 + eps);
            }
            p
        })
        .collect()
}

fn policies() -> [Numerics; 2] {
    [Numerics::ieee(), Numerics::ieee().pessimistic()]
}

/// Adam and AdamW under every policy, each with the share of the weight that it removes per unit of learning rate.
fn adams() -> impl Iterator<Item = (OptimizerConfig, f64, Numerics)> {
    let adamw = |weight_decay| {
        let adamw = AdamW {
            weight_decay,
            ..AdamW::default()
        };
        (OptimizerConfig::AdamW(adamw), weight_decay)
    };
    let all = [
        (OptimizerConfig::Adam(Adam::default()), 0.0),
        adamw(AdamW::default().weight_decay),
        adamw(0.5),
    ];
    all.into_iter().flat_map(|(optimizer, decay)| {
        policies().map(|numerics| (optimizer.clone(), decay, numerics))
    })
}

#[test]
fn adam_moves_as_far_as_it_should_for_gradients_from_1e_minus_6_to_30() {
    let magnitudes = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 7.0, 30.0];
    let start = vec![0.5; magnitudes.len()];
    // Gradients that keep their sign but vary in size, as they do in training.
    let gradient =
        |t: u64, i: usize| magnitudes[i] * (0.75 + 0.25 * ((t * 7 + i as u64) % 5) as f64 / 4.0);
    for (optimizer, decay, numerics) in adams() {
        let steps = 300;
        let found = run(&optimizer, &numerics, &start, 1e-3, steps, gradient);
        let want = adam(decay, &start, 1e-3, steps, gradient);
        for (i, (f, w)) in found.iter().zip(&want).enumerate() {
            let (moved, should) = (f64::from(*f) - 0.5, w - 0.5);
            // At 1e-6 the second moment's increments fall below the low part's spacing, and below 1e-5 with flushed
            // subnormals: the step is then up to 1.6 times too long, never too short or in the wrong direction.
            let bound = if magnitudes[i] < 3e-6 {
                0.6
            } else if magnitudes[i] < 3e-5 {
                0.06
            } else {
                0.01
            };
            let error = (moved / should - 1.0).abs();
            assert!(
                error < bound,
                "{}, |g| = {:e}: moved {moved:.6}, should {should:.6}",
                optimizer.as_dyn().name(),
                magnitudes[i]
            );
        }
    }
}

#[test]
fn inputs_that_are_always_zero_leave_only_the_decay_and_make_no_nan() {
    for (optimizer, decay, numerics) in adams() {
        let start = [0.25, -3.0, 0.0];
        let found = run(&optimizer, &numerics, &start, 1e-3, 200, |_, _| 0.0);
        if decay == 0.0 {
            assert_eq!(found, start);
        }
        let want = adam(decay, &start, 1e-3, 200, |_, _| 0.0);
        for ((f, w), s) in found.iter().zip(&want).zip(start) {
            let should = w - f64::from(s);
            let moved = f64::from(*f) - f64::from(s);
            assert!(
                (moved - should).abs() <= 0.01 * should.abs(),
                "moved {moved:e}, should {should:e}"
            );
        }
    }
}

#[test]
fn a_learning_rate_of_1e_minus_6_still_adds_up() {
    for (optimizer, decay, numerics) in adams() {
        let (steps, lr) = (400, 1e-6);
        let start = [0.7, -0.3, 0.01];
        let gradient = |t: u64, i: usize| 0.02 * (1.0 + 0.5 * ((t + i as u64) % 3) as f64);
        let found = run(&optimizer, &numerics, &start, lr, steps, gradient);
        let want = adam(decay, &start, lr, steps, gradient);
        for ((f, w), s) in found.iter().zip(&want).zip(start) {
            let (moved, should) = (f64::from(*f) - f64::from(s), w - f64::from(s));
            assert!(
                (moved / should - 1.0).abs() < 0.02,
                "moved {moved:e}, should {should:e}"
            );
        }
    }
}

#[test]
fn signs_that_alternate_cancel() {
    for (optimizer, decay, numerics) in adams() {
        let start = [0.5; 3];
        let gradient =
            |t: u64, i: usize| [1e-4, 0.01, 5.0][i] * if t.is_multiple_of(2) { 1.0 } else { -1.0 };
        let found = run(&optimizer, &numerics, &start, 1e-3, 200, gradient);
        let want = adam(decay, &start, 1e-3, 200, gradient);
        for (f, w) in found.iter().zip(&want) {
            assert!((f64::from(*f) - w).abs() < 1e-4, "{f} {w}");
        }
    }
}

#[test]
fn momentum_adds_up_over_the_range() {
    let magnitudes = [1e-6, 1e-4, 0.01, 1.0, 30.0];
    let settings = Sgd {
        momentum: 0.9,
        ..Sgd::default()
    };
    for numerics in policies() {
        for nesterov in [false, true] {
            let optimizer = OptimizerConfig::Sgd(Sgd {
                nesterov,
                ..settings
            });
            // A rate for which the largest gradient moves the weight by about 3.
            let (lr, steps) = (1e-3, 100);
            let start = vec![0.5; magnitudes.len()];
            let found = run(&optimizer, &numerics, &start, lr, steps, |_, i| {
                magnitudes[i]
            });
            for (i, f) in found.iter().enumerate() {
                let (mut p, mut b) = (0.5, 0.0);
                for _ in 0..steps {
                    b = 0.9 * b + magnitudes[i];
                    p -= lr * if nesterov { magnitudes[i] + 0.9 * b } else { b };
                }
                // What is below 2⁻²⁵ per step is below the weight's own resolution.
                let slack = 0.01 * (p - 0.5_f64).abs() + steps as f64 * 2.0_f64.powi(-25);
                assert!(
                    (f64::from(*f) - p).abs() <= slack,
                    "|g| = {:e}: {f} {p}",
                    magnitudes[i]
                );
            }
        }
    }
}
