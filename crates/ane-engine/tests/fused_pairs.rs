//! Functions that run as one pass keep the bits of each run alone.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::Options;
use ane_ir::{DType, Graph, Literal, Numerics, Tensor, TensorType, TypeError, Value, eval};
use half::f16;
use support::{available, policies, run};

type Build = fn(&mut Graph, &[Value]) -> Result<Value, TypeError>;

/// Functions and how many operands they take.
const FUNCTIONS: &[(&str, usize, Build)] = &[
    ("add", 2, |g, x| g.add(x[0], x[1])),
    ("sub", 2, |g, x| g.sub(x[0], x[1])),
    ("mul", 2, |g, x| g.mul(x[0], x[1])),
    ("real_div", 2, |g, x| g.real_div(x[0], x[1])),
    ("maximum", 2, |g, x| g.maximum(x[0], x[1])),
    ("abs", 1, |g, x| g.abs(x[0])),
    ("relu", 1, |g, x| g.relu(x[0])),
    ("sqrt", 1, |g, x| g.sqrt(x[0])),
    ("less", 2, |g, x| {
        let p = g.less(x[0], x[1])?;
        g.cast(p, DType::Fp16)
    }),
    ("greater", 2, |g, x| {
        let p = g.greater(x[0], x[1])?;
        g.cast(p, DType::Fp16)
    }),
    ("select_by_greater", 2, |g, x| {
        let zero = g.scalar(DType::Fp16, 0.0)?;
        let p = g.greater(x[0], zero)?;
        g.select(p, x[1], zero)
    }),
    ("select", 2, |g, x| {
        let one = g.scalar(DType::Fp16, 1.0)?;
        let p = g.less(x[0], one)?;
        g.select(p, x[0], x[1])
    }),
];

/// Not a multiple of any vector, more than a tile.
const LEN: usize = 1_100;

/// Values of every size, whole and broken, and the special ones.
fn values(seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let specials = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        65_504.0,
        -65_504.0,
        // The smallest subnormal and the largest.
        2.0_f32.powi(-24),
        -1023.0 * 2.0_f32.powi(-24),
        1.0,
    ];
    (0..LEN)
        .map(|i| match next() % 8 {
            0 => specials[next() as usize % specials.len()],
            1..=4 => f16::from_f32((next() as f32 / u32::MAX as f32 - 0.5) * 8.0).to_f32(),
            _ if i % 2 == 0 => f16::from_bits(next() as u16 & 0x7bff).to_f32(),
            _ => f16::from_bits(next() as u16 & 0xfbff).to_f32(),
        })
        .collect()
}

/// Runs the graph on every instruction set under every policy against its definition.
fn agrees(g: &Graph, what: &str) {
    let xs: Vec<Tensor<f32>> = g
        .inputs()
        .iter()
        .enumerate()
        .map(|(i, &v)| {
            let ty = g.ty(v).clone();
            let mut data = values(i as u32 + 1);
            data.truncate(ty.shape.numel());
            Tensor::new(ty, data)
        })
        .collect();
    for numerics in policies() {
        let want = eval(g, &xs, &numerics).unwrap();
        for isa in available() {
            let options = Options {
                numerics: numerics.clone(),
                isa,
            };
            let found = run(g, &xs, options, 1);
            for (want, found) in want.iter().zip(&found) {
                for (i, (w, f)) in want.data.iter().zip(&found.data).enumerate() {
                    let same = w.to_bits() == f.to_bits() || w.is_nan() && f.is_nan();
                    assert!(same, "{what} on {isa}, element {i}: {f} instead of {w}");
                }
            }
        }
    }
}

fn inputs(g: &mut Graph, n: usize) -> Vec<Value> {
    (0..n)
        .map(|i| g.input(&format!("x{i}"), TensorType::fp16([LEN])).unwrap())
        .collect()
}

#[test]
fn two_functions_in_any_places() {
    for &(first_name, first_arity, first) in FUNCTIONS {
        for &(second_name, second_arity, second) in FUNCTIONS {
            for place in 0..second_arity {
                let mut g = Graph::new();
                let x = inputs(&mut g, first_arity + second_arity - 1);
                let (own, others) = x.split_at(first_arity);
                let between = first(&mut g, own).unwrap();
                let mut operands = others.to_vec();
                operands.insert(place, between);
                let y = second(&mut g, &operands).unwrap();
                g.output("y", y).unwrap();
                agrees(&g, &format!("{second_name}({first_name}) at {place}"));
            }
        }
    }
}

#[test]
fn a_value_read_twice_is_there_for_both() {
    for &(name, arity, build) in FUNCTIONS {
        let mut g = Graph::new();
        let x = inputs(&mut g, arity + 1);
        let between = build(&mut g, &x[..arity]).unwrap();
        let sum = g.add(between, x[arity]).unwrap();
        let product = g.mul(between, sum).unwrap();
        let square = g.mul(between, between).unwrap();
        let y = g.sub(product, square).unwrap();
        g.output("y", y).unwrap();
        g.output("between", between).unwrap();
        agrees(&g, name);
    }
}

#[test]
fn the_error_of_a_sum_and_what_only_looks_like_it() {
    for variant in 0..6 {
        let mut g = Graph::new();
        let x = inputs(&mut g, 3);
        // Computed in the pass itself: what is read from a port is read again for every use.
        let two = g.scalar(DType::Fp16, 2.0).unwrap();
        let [high, low] = [x[0], x[1]].map(|x| g.mul(x, two).unwrap());
        let sum = g.add(high, low).unwrap();
        let low_seen = g.sub(sum, high).unwrap();
        let high_seen = g.sub(sum, low_seen).unwrap();
        let high_error = match variant {
            1 => g.sub(low, high_seen).unwrap(),
            2 => g.sub(high_seen, high).unwrap(),
            _ => g.sub(high, high_seen).unwrap(),
        };
        let low_error = match variant {
            3 => g.sub(low, high_seen).unwrap(),
            4 => g.sub(x[2], low_seen).unwrap(),
            _ => g.sub(low, low_seen).unwrap(),
        };
        let error = g.add(high_error, low_error).unwrap();
        g.output("error", error).unwrap();
        let kept = if variant == 5 { high_seen } else { sum };
        let y = g.mul(kept, x[2]).unwrap();
        g.output("y", y).unwrap();
        agrees(&g, &format!("TwoSum, variant {variant}"));
    }
}

#[test]
fn what_is_the_same_for_all_elements_is_read_once() {
    let mut g = Graph::new();
    let x = inputs(&mut g, 2);
    let scalar = g.input("scalar", TensorType::fp16([1])).unwrap();
    let row = g.input("weight", TensorType::fp16([1, 1])).unwrap();
    let half = g.scalar(DType::Fp16, 0.5).unwrap();
    let y = g.mul(x[0], scalar).unwrap();
    let y = g.add(y, half).unwrap();
    let y = g.mul(y, row).unwrap();
    let y = g.add(y, x[1]).unwrap();
    g.output("y", y).unwrap();
    for numerics in [Numerics::ieee(), Numerics::ieee().pessimistic()] {
        let mut xs: Vec<Tensor<f32>> = Vec::new();
        for (i, &v) in g.inputs().iter().enumerate() {
            let ty = g.ty(v).clone();
            let mut data = values(i as u32 + 7);
            data.retain(|x| x.is_finite());
            data.resize(ty.shape.numel(), 0.75);
            xs.push(Tensor::new(ty, data));
        }
        let want = eval(&g, &xs, &numerics).unwrap();
        for isa in available() {
            let options = Options {
                numerics: numerics.clone(),
                isa,
            };
            for threads in [1, 2] {
                assert_eq!(
                    support::bits(&run(&g, &xs, options.clone(), threads)),
                    support::bits(&want)
                );
            }
        }
    }
}

#[test]
fn the_largest_of_a_constant_is_that_of_its_elements_alone() {
    let mut g = Graph::new();
    let x = inputs(&mut g, 1)[0];
    let ty = TensorType::fp16([LEN]);
    let constant = g.constant(Literal::splat(ty, -3.0)).unwrap();
    let magnitude = g.abs(constant).unwrap();
    let largest = g.reduce_max(magnitude, &[0], true).unwrap();
    let plain = g.reduce_max(constant, &[0], true).unwrap();
    let sum = g.add(x, largest).unwrap();
    let y = g.mul(sum, plain).unwrap();
    g.output("y", y).unwrap();
    agrees(&g, "the largest of a constant");
}
