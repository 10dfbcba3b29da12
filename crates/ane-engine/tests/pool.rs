//! Pools and their gradients against the definition, with ties, padding and what is no number.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, Plan};
use ane_ir::{
    Graph, Numerics, Tensor, TensorType, autodiff, eval,
    ops::{Fill, avg_pool::AvgPool, max_pool::MaxPool, support::window::PadType},
    testing,
};
use support::{available, bits, policies, run};

/// Kernel, stride and padding on both sides for every axis, and the shape.
type Case = (&'static [usize], Vec<[i32; 4]>);

fn cases() -> Vec<Case> {
    vec![
        (&[3, 6, 28, 28], vec![[2, 2, 0, 0]; 2]),
        (&[2, 3, 10, 34], vec![[2, 2, 0, 0]; 2]),
        (&[2, 3, 9, 11], vec![[2, 2, 0, 0], [3, 3, 0, 0]]),
        (&[2, 5, 14, 15], vec![[3, 2, 1, 1], [3, 2, 1, 0]]),
        (&[1, 2, 40, 40], vec![[3, 1, 1, 1], [2, 1, 0, 1]]),
        (&[2, 2, 7, 5], vec![[7, 7, 0, 0], [5, 5, 0, 0]]),
        (&[2, 2, 13, 50], vec![[2, 3, 0, 0], [4, 3, 2, 2]]),
        (&[3, 4, 37], vec![[3, 2, 1, 1]]),
    ]
}

fn ints(axes: &[[i32; 4]], at: usize) -> Vec<i32> {
    axes.iter().map(|a| a[at]).collect()
}

fn pad(axes: &[[i32; 4]]) -> Option<Vec<i32>> {
    Some(axes.iter().flat_map(|a| [a[2], a[3]]).collect())
}

/// A pool of largest elements, with what reads its result and its gradient.
fn max_graph(shape: &[usize], axes: &[[i32; 4]]) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16(shape)).unwrap();
    let op = MaxPool {
        kernel_sizes: ints(axes, 0),
        strides: Some(ints(axes, 1)),
        pad_type: PadType::Custom,
        pad: pad(axes),
        ..MaxPool::default()
    };
    let r = g.relu(x).unwrap();
    let y = g.max_pool(r, op).unwrap();
    let ty = g.ty(y).clone();
    let z = g.abs(y).unwrap();
    g.output("z", z).unwrap();
    let ct = g.input("ct", ty).unwrap();
    let dx = autodiff::vjp(&mut g, &[y], &[ct], &[x]).unwrap()[0].unwrap();
    g.output("dx", dx).unwrap();
    g
}

#[test]
fn largest_elements_and_their_gradients_are_those_of_the_definition() {
    for (shape, axes) in cases() {
        let g = max_graph(shape, &axes);
        // Integers have ties in most windows, and relu makes zeros of half of them.
        for fill in [Fill::Integers, Fill::Signed] {
            let xs: Vec<Tensor<f32>> = [0, 1]
                .map(|i| testing::tensor(g.ty(g.inputs()[i]), fill, i as u64))
                .into();
            for numerics in policies() {
                let want = eval(&g, &xs, &numerics).unwrap();
                for isa in available() {
                    let options = Options {
                        numerics: numerics.clone(),
                        isa,
                    };
                    for threads in [1, 3] {
                        let found = run(&g, &xs, options.clone(), threads);
                        assert!(
                            bits(&found) == bits(&want),
                            "{isa} {numerics:?} {fill:?}\n{g}\n{:?}\n{:?}",
                            found[1].data,
                            want[1].data
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_gradient_is_one_pass_whatever_the_windows() {
    for (shape, axes) in cases() {
        let g = max_graph(shape, &axes);
        let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
        // relu, the pool with abs, the cotangent, the gradient with relu's.
        assert!(plan.unit_count() <= 4, "{} units\n{g}", plan.unit_count());
    }
}

#[test]
fn a_window_with_what_is_no_number_is_none_and_shares_its_cotangent() {
    for (shape, axes) in cases() {
        let g = max_graph(shape, &axes);
        let mut xs: Vec<Tensor<f32>> = [0, 1]
            .map(|i| testing::tensor(g.ty(g.inputs()[i]), Fill::Signed, i as u64))
            .into();
        for at in [0, 5] {
            xs[0].data[at] = f32::NAN;
        }
        let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
        for isa in available() {
            let options = Options {
                numerics: Numerics::ieee(),
                isa,
            };
            let found = run(&g, &xs, options, 2);
            for (w, f) in want.iter().zip(&found) {
                for (w, f) in w.data.iter().zip(&f.data) {
                    assert!(w == f || w.is_nan() && f.is_nan(), "{isa}: {w} {f}\n{g}");
                }
            }
        }
    }
}

#[test]
fn means_are_those_of_the_definition() {
    for (shape, axes) in cases() {
        for exclude_padding_from_average in [false, true] {
            let mut g = Graph::new();
            let x = g.input("x", TensorType::fp32(shape)).unwrap();
            let op = AvgPool {
                kernel_sizes: ints(&axes, 0),
                strides: Some(ints(&axes, 1)),
                pad_type: PadType::Custom,
                pad: pad(&axes),
                exclude_padding_from_average,
                ..AvgPool::default()
            };
            let y = g.avg_pool(x, op).unwrap();
            let ty = g.ty(y).clone();
            g.output("y", y).unwrap();
            let ct = g.input("ct", ty).unwrap();
            let dx = autodiff::vjp(&mut g, &[y], &[ct], &[x]).unwrap()[0].unwrap();
            g.output("dx", dx).unwrap();
            // Sums of small integers are exact, and one division rounds once.
            let xs: Vec<Tensor<f32>> = [0, 1]
                .map(|i| testing::tensor(g.ty(g.inputs()[i]), Fill::Integers, i as u64))
                .into();
            let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
            for isa in available() {
                let options = Options {
                    numerics: Numerics::ieee(),
                    isa,
                };
                let found = run(&g, &xs, options, 2);
                assert_eq!(found[0].data, want[0].data, "{isa}\n{g}");
                for (w, f) in want[1].data.iter().zip(&found[1].data) {
                    assert!((w - f).abs() <= 1e-5, "{isa}: {w} {f}\n{g}");
                }
            }
        }
    }
}
