//! Reductions over any axes, short and long, against the definition.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::Options;
use ane_ir::{Graph, Numerics, Tensor, TensorType, eval, ops::Fill, testing};
use support::{available, bits, policies, run};

/// Shapes with the axes that are reduced: inner, outer, around and between kept ones; some so long that tasks share
/// the terms of one result.
const CASES: &[(&[usize], &[i32])] = &[
    (&[64, 10], &[1]),
    (&[128, 130], &[0]),
    (&[5, 3, 9, 7], &[0, 2, 3]),
    (&[5, 3, 9, 7], &[1]),
    (&[5, 7, 6, 16], &[0, 2]),
    (&[16, 6, 32, 32], &[0, 2, 3]),
    (&[9, 2, 31, 33], &[0, 2, 3]),
    (&[9_000, 3], &[0]),
    (&[2_500, 64], &[0]),
    (&[3, 9_001], &[1]),
    (&[1, 40_000], &[0, 1]),
];

fn graph(dims: &[usize], axes: &[i32]) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16(dims)).unwrap();
    let results = [
        g.reduce_sum(x, axes, true),
        g.reduce_mean(x, axes, false),
        g.reduce_max(x, axes, true),
        g.reduce_log_sum_exp(x, axes, true),
        g.reduce_min(x, axes, true),
        g.reduce_sum_square(x, axes, false),
        g.reduce_l2_norm(x, axes, true),
    ];
    for (i, y) in results.into_iter().enumerate() {
        g.output(&format!("y{i}"), y.unwrap()).unwrap();
    }
    g
}

#[test]
fn any_axes_are_reduced_as_defined_with_the_same_bits_on_any_number_of_threads() {
    for &(dims, axes) in CASES {
        let g = graph(dims, axes);
        let x: Tensor<f32> = testing::tensor(&TensorType::fp16(dims), Fill::Signed, 1);
        let xs = [x];
        // How far sums in another order may be apart: relative to the sum of magnitudes.
        let terms = dims.iter().product::<usize>() as f64;
        let magnitudes = [xs[0].convert::<f64>()].map(|x| {
            let data = x.data.iter().map(|e| e.abs()).collect();
            Tensor::new(x.ty, data)
        });
        let exact = eval(&g, &magnitudes, &Numerics::exact()).unwrap();
        // Which way results go does not depend on the chip, and long sums are alike in all but the order.
        let chips = if terms < 10_000.0 {
            policies().len()
        } else {
            2
        };
        for numerics in policies().into_iter().take(chips) {
            let want = eval(&g, &xs, &numerics).unwrap();
            for isa in available() {
                let options = Options {
                    numerics: numerics.clone(),
                    isa,
                };
                let one = run(&g, &xs, options.clone(), 1);
                let three = run(&g, &xs, options, 3);
                assert_eq!(bits(&one), bits(&three), "{dims:?} {axes:?} {isa}");
                for ((want, found), magnitude) in want.iter().zip(&one).zip(&exact) {
                    for ((&w, &f), &m) in want.data.iter().zip(&found.data).zip(&magnitude.data) {
                        let bound = terms * 2.0_f64.powi(-24) * m;
                        let near = f64::from((w - f).abs()) <= bound
                            || testing::fp16_ulps(w.into(), f.into()) <= 1;
                        assert!(near, "{dims:?} {axes:?} {isa} {numerics:?}: {w:e} {f:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn softmax_along_any_axis_is_that_of_the_definition() {
    for (dims, axis) in [([6, 5, 40], 2), ([6, 5, 40], 1), ([130, 3, 2], 0)] {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16(dims)).unwrap();
        let y = g.softmax(x, axis).unwrap();
        g.output("y", y).unwrap();
        let xs = [testing::tensor(&TensorType::fp16(dims), Fill::Signed, 3)];
        for numerics in policies() {
            let want = eval(&g, &xs, &numerics).unwrap();
            for isa in available() {
                let options = Options {
                    numerics: numerics.clone(),
                    isa,
                };
                let found = run(&g, &xs, options, 2);
                for (&w, &f) in want[0].data.iter().zip(&found[0].data) {
                    assert!(
                        testing::fp16_ulps(w.into(), f.into()) <= 1,
                        "{isa} {w:e} {f:e}"
                    );
                }
            }
        }
    }
}
