//! Norms over rows, planes and channels, long and short, and what joins their pass, against the definition.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, Plan};
use ane_ir::{
    Accumulate, DType, Graph, Numerics, Tensor, TensorType, Value, eval, ops::Fill, testing,
};
use support::{available, bits, policies, run};

/// Shapes with the axes that are normalised: rows, planes, columns of whole and of broken vectors, everything, and axes
/// that are no neighbours.
const LAYERS: &[(&[usize], &[i32])] = &[
    (&[70, 288], &[-1]),
    (&[3, 5, 7], &[-1]),
    (&[2, 3, 37, 41], &[2, 3]),
    (&[3, 40, 1, 131], &[1]),
    (&[2, 1500, 17], &[1]),
    (&[30, 9], &[0]),
    (&[3, 70], &[0, 1]),
    (&[4, 6, 5], &[0, 2]),
];

fn vector(g: &mut Graph, name: &str, dims: &[usize]) -> Value {
    g.input(name, TensorType::fp16(dims)).unwrap()
}

/// A norm of what an op makes, with what reads it.
fn layer_graph(dims: &[usize], axes: &[i32], affine: bool) -> Graph {
    let mut g = Graph::new();
    let x = vector(&mut g, "x", dims);
    let shape = g.ty(x).shape.clone();
    let lengths: Vec<usize> = {
        let mut axes: Vec<usize> = axes.iter().map(|&a| shape.axis(a).unwrap()).collect();
        axes.sort_unstable();
        axes.into_iter().map(|a| dims[a]).collect()
    };
    let operands = affine.then(|| ["gamma", "beta"].map(|name| vector(&mut g, name, &lengths)));
    let [gamma, beta] = operands.map_or([None, None], |o| o.map(Some));
    let r = g.abs(x).unwrap();
    let y = g.layer_norm(r, gamma, beta, axes, 1e-3).unwrap();
    let z = g.add(y, r).unwrap();
    let z = g.relu(z).unwrap();
    g.output("y", y).unwrap();
    g.output("z", z).unwrap();
    g
}

fn image_graph(dims: &[usize], affine: bool) -> Graph {
    let mut g = Graph::new();
    let x = vector(&mut g, "x", dims);
    let channel = |g: &mut Graph, name: &str| vector(g, name, &dims[1..2]);
    let mean = channel(&mut g, "mean");
    let spread = channel(&mut g, "spread");
    let variance = g.mul(spread, spread).unwrap();
    let gamma = affine.then(|| channel(&mut g, "gamma"));
    let beta = affine.then(|| channel(&mut g, "beta"));
    let r = g.abs(x).unwrap();
    let y = g
        .batch_norm(r, [mean, variance], gamma, beta, 1e-3)
        .unwrap();
    let y = g.relu(y).unwrap();
    let z = g.instance_norm(y, gamma, beta, 1e-3).unwrap();
    let w = g.mul(z, z).unwrap();
    for (name, v) in [("y", y), ("z", z), ("w", w)] {
        g.output(name, v).unwrap();
    }
    g
}

/// Runs `g` on the engine and by its definition; errors are relative to the largest result.
fn check(g: &Graph) {
    let inputs = g.inputs().iter().enumerate();
    let xs: Vec<Tensor<f32>> = inputs
        .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
        .collect();
    for numerics in policies() {
        let want = eval(g, &xs, &numerics).unwrap();
        for isa in available() {
            let numerics = numerics.clone();
            let options = Options { numerics, isa };
            let found = run(g, &xs, options.clone(), 1);
            assert_eq!(
                bits(&found),
                bits(&run(g, &xs, options, 3)),
                "{isa}, threads\n{g}"
            );
            for (want, found) in want.iter().zip(&found) {
                let scale = want.data.iter().fold(1.0_f32, |a, x| a.max(x.abs()));
                for (w, f) in want.data.iter().zip(&found.data) {
                    let near = (w - f).abs() <= 2.0_f32.powi(-9) * scale;
                    assert!(near, "{isa}: expected {w}, found {f}\n{g}");
                }
            }
        }
    }
}

#[test]
fn any_axes_are_normalised_as_defined_with_the_same_bits_on_any_number_of_threads() {
    for &(dims, axes) in LAYERS {
        for affine in [false, true] {
            check(&layer_graph(dims, axes, affine));
        }
    }
}

#[test]
fn channels_are_normalised_as_defined() {
    for dims in [
        &[3, 5, 9, 11][..],
        &[2, 3, 40],
        &[1, 1, 6, 6],
        &[2, 2, 3, 4, 5],
    ] {
        for affine in [false, true] {
            check(&image_graph(dims, affine));
        }
    }
}

#[test]
fn a_norm_with_statistics_that_are_given_joins_the_pass_over_a_convolution() {
    let mut g = Graph::new();
    let x = vector(&mut g, "x", &[2, 3, 8, 8]);
    let w = vector(&mut g, "w", &[4, 3, 3, 3]);
    let [mean, variance] = ["mean", "variance"].map(|name| vector(&mut g, name, &[4]));
    let y = g
        .conv(x, w, None, ane_ir::ops::conv::Conv::default())
        .unwrap();
    let y = g.batch_norm(y, [mean, variance], None, None, 1e-5).unwrap();
    let y = g.relu(y).unwrap();
    g.output("y", y).unwrap();
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    // The weights brought to the arena and packed, the scales of the channels, and the convolution.
    assert!(plan.unit_count() <= 4, "{} units", plan.unit_count());
}

#[test]
fn linear_adds_its_bias_before_it_rounds() {
    for dtype in [DType::Fp16, DType::Fp32] {
        for dims in [&[33][..], &[9, 33], &[2, 3, 5, 33], &[300, 33]] {
            let mut g = Graph::new();
            let x = g.input("x", TensorType::new(dtype, dims)).unwrap();
            let w = g.input("w", TensorType::new(dtype, [70, 33])).unwrap();
            let b = g.input("b", TensorType::new(dtype, [70])).unwrap();
            let y = g.linear(x, w, Some(b)).unwrap();
            let z = g.relu(y).unwrap();
            g.output("z", z).unwrap();
            let inputs = g.inputs().iter().enumerate();
            let xs: Vec<Tensor<f32>> = inputs
                .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
                .collect();
            for numerics in policies() {
                let want = eval(&g, &xs, &numerics).unwrap();
                for isa in available() {
                    let numerics = numerics.clone();
                    let options = Options { numerics, isa };
                    let found = run(&g, &xs, options.clone(), 1);
                    assert_eq!(bits(&found), bits(&run(&g, &xs, options, 3)), "{isa}\n{g}");
                    for (w, f) in want[0].data.iter().zip(&found[0].data) {
                        // Products of fp16 values are exact, and both sides add up in order.
                        let near = match dtype {
                            DType::Fp16 => w == f,
                            _ => (w - f).abs() <= 1e-4,
                        };
                        assert!(near, "{isa}: expected {w}, found {f}\n{g}");
                    }
                }
            }
        }
    }
}

#[test]
fn running_sums_in_fp16_keep_to_the_definition() {
    let g = layer_graph(&[9, 60], &[-1], true);
    let numerics = Numerics {
        accumulate: Accumulate::Stepwise,
        ..Numerics::ieee()
    };
    let inputs = g.inputs().iter().enumerate();
    let xs: Vec<Tensor<f32>> = inputs
        .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
        .collect();
    let want = eval(&g, &xs, &numerics).unwrap();
    assert_eq!(bits(&want), bits(&run(&g, &xs, Options::new(numerics), 2)));
}
