//! Batch norm with the statistics of its batch, forward and backward: sums by channel are taken on the way.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, Plan};
use ane_ir::{
    Graph, Numerics, Shape, Tensor, TensorType, Value, autodiff, eval,
    ops::{Fill, conv::Conv},
    testing,
};
use support::{available, bits, policies, run};

const SHAPE: [usize; 4] = [9, 6, 11, 12];

/// x normalised over images, rows and columns, scaled and shifted by channel.
fn batch_norm(g: &mut Graph, x: Value, scale: Value, shift: Value) -> Value {
    let axes = [0, 2, 3];
    let mean = g.reduce_mean(x, &axes, true).unwrap();
    let centred = g.sub(x, mean).unwrap();
    let squares = g.mul(centred, centred).unwrap();
    let variance = g.reduce_mean(squares, &axes, true).unwrap();
    let inverse = g.rsqrt(variance, 1e-5).unwrap();
    let normal = g.mul(centred, inverse).unwrap();
    let by_channel =
        |g: &mut Graph, v: Value| g.reshape(v, &Shape::new(&[1, SHAPE[1], 1, 1])).unwrap();
    let (scale, shift) = (by_channel(g, scale), by_channel(g, shift));
    let scaled = g.mul(normal, scale).unwrap();
    g.add(scaled, shift).unwrap()
}

/// A convolution, batch norm and relu, with gradients of everything.
fn graph() -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp32([9, 4, 12, 13])).unwrap();
    let w = g.input("w", TensorType::fp32([6, 4, 2, 2])).unwrap();
    let scale = g.input("scale", TensorType::fp32([6])).unwrap();
    let shift = g.input("shift", TensorType::fp32([6])).unwrap();
    let y = g.conv(x, w, None, Conv::default()).unwrap();
    let z = batch_norm(&mut g, y, scale, shift);
    let r = g.relu(z).unwrap();
    g.output("r", r).unwrap();
    let ct = g.input("ct", TensorType::fp32(SHAPE)).unwrap();
    let wrt = [x, w, scale, shift];
    let gradients = autodiff::vjp(&mut g, &[r], &[ct], &wrt).unwrap();
    for (name, gradient) in ["dx", "dw", "dscale", "dshift"].into_iter().zip(gradients) {
        g.output(name, gradient.unwrap()).unwrap();
    }
    g
}

#[test]
fn batch_norm_and_its_gradients_are_near_the_definition() {
    let g = graph();
    let inputs = g.inputs().iter().enumerate();
    let xs: Vec<Tensor<f32>> = inputs
        .map(|(i, &v)| testing::tensor(g.ty(v), Fill::Signed, i as u64))
        .collect();
    let exact: Vec<Tensor<f64>> = xs
        .iter()
        .map(|x| Tensor::new(x.ty.clone(), x.data.iter().map(|&e| e.into()).collect()))
        .collect();
    let want = eval(&g, &exact, &Numerics::exact()).unwrap();
    for isa in available() {
        let options = Options {
            numerics: Numerics::ieee(),
            isa,
        };
        let found = run(&g, &xs, options, 2);
        for (want, found) in want.iter().zip(&found) {
            let scale = want.data.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
            for (w, f) in want.data.iter().zip(&found.data) {
                let error = (w - f64::from(*f)).abs();
                assert!(error <= 1e-5 * scale, "{isa}: {w} {f}, of {scale}");
            }
        }
        for numerics in policies() {
            let options = Options { numerics, isa };
            let one = bits(&run(&g, &xs, options.clone(), 1));
            assert_eq!(one, bits(&run(&g, &xs, options, 3)), "{isa}, threads");
        }
    }
}

#[test]
fn statistics_are_taken_on_the_way() {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp32(SHAPE)).unwrap();
    let scale = g.input("scale", TensorType::fp32([6])).unwrap();
    let shift = g.input("shift", TensorType::fp32([6])).unwrap();
    let z = batch_norm(&mut g, x, scale, shift);
    let r = g.relu(z).unwrap();
    g.output("r", r).unwrap();
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    // The mean, what is left with its squares, the rest; the sums of the first two, and the scale of a channel.
    assert!(plan.unit_count() <= 6, "{} units", plan.unit_count());
}
