//! Large values that the arena holds as fp16: they are what they would be as f32, in half the memory.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, Plan};
use ane_ir::{
    DType, Graph, Numerics, Tensor, TensorType, Value, autodiff, eval,
    ops::{Fill, conv::Conv},
    testing,
};
use support::{available, bits, policies, run};

/// Images of 37,888 elements, whose rows are no whole vectors.
const IMAGES: [usize; 4] = [2, 16, 32, 37];

/// The first output of [`graph`] that is sums over all images.
const SUMS: usize = 4;

/// Two layers that keep images for their gradients, read by whatever widens them and by what does not.
fn graph(dtype: DType) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::new(dtype, IMAGES)).unwrap();
    let w = g.input("w", TensorType::new(dtype, [16, 4, 1, 2])).unwrap();
    let scale = g
        .input("scale", TensorType::new(dtype, [1, 16, 1, 1]))
        .unwrap();
    let op = || Conv {
        groups: 4,
        ..Conv::default()
    };
    let layer = |g: &mut Graph, x: Value| {
        let y = g.conv(x, w, None, op()).unwrap();
        let y = g.mul(y, scale).unwrap();
        let y = g.sub(y, scale).unwrap();
        g.relu(y).unwrap()
    };
    let a = layer(&mut g, x);
    let b = layer(&mut g, a);
    let flipped = g.transpose(b, &[0, 1, 3, 2]).unwrap();
    let rows = g.reduce_max(b, &[3], false).unwrap();
    for (name, v) in [("a", a), ("flipped", flipped), ("rows", rows)] {
        g.output(name, v).unwrap();
    }
    let ct = g.input("ct", g.ty(b).clone()).unwrap();
    let wrt = [x, w, scale];
    let gradients = autodiff::vjp(&mut g, &[b], &[ct], &wrt).unwrap();
    for (name, gradient) in ["dx", "dw", "dscale"].into_iter().zip(gradients) {
        g.output(name, gradient.unwrap()).unwrap();
    }
    g
}

#[test]
fn what_is_held_as_fp16_is_what_the_definition_says() {
    let g = graph(DType::Fp16);
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
            assert_eq!(
                bits(&found),
                bits(&run(&g, &xs, options, 3)),
                "{isa}, threads"
            );
            for (i, (want, found)) in want.iter().zip(&found).enumerate() {
                let scale = want.data.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
                // Sums over all images are in another order; everything else is exact.
                let bound = if i < SUMS { 0.0 } else { scale / 128.0 };
                for (w, f) in want.data.iter().zip(&found.data) {
                    let near = w == f || (w - f).abs() <= bound;
                    assert!(near, "{isa}, output {i}: expected {w}, found {f}");
                }
            }
        }
    }
}

#[test]
fn images_of_fp16_take_about_half_the_memory_of_those_of_fp32() {
    let bytes = |dtype| {
        let plan = Plan::compile(&graph(dtype), Options::new(Numerics::ieee())).unwrap();
        plan.arena_bytes()
    };
    let (half, single) = (bytes(DType::Fp16), bytes(DType::Fp32));
    assert!(half * 10 < single * 7, "{half} bytes of {single}");
}
