//! Matrix products: every bit of them, in every layout, with zeros that are left out and what must not be.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, simd::Isa};
use ane_ir::{Accumulate, Graph, Numerics, Tensor, TensorType, eval};
use support::{available, bits, policies, run};

/// Rows, columns and depth, around the sizes of blocks, strips, panels and vectors.
const SHAPES: &[(usize, usize, usize)] = &[
    (1, 1, 1),
    (3, 5, 7),
    (4, 64, 16),
    (17, 10, 33),
    (64, 70, 40),
    (70, 130, 35),
    (100, 37, 129),
    (131, 300, 20),
];

/// Layouts of the left and the right operand: transposed or not.
const LAYOUTS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// Factors between −1 and 1, zero where `is_zero(row, term)` says so.
fn factors(len: usize, k: usize, seed: f32, is_zero: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    let of = |i: usize, p: usize| match is_zero(i, p) {
        // Both zeros are left out.
        true if (i + p).is_multiple_of(3) => -0.0,
        true => 0.0,
        false => ((i * k + p) as f32 * seed).sin(),
    };
    (0..len)
        .flat_map(|i| (0..k).map(move |p| (i, p)))
        .map(|(i, p)| of(i, p))
        .collect()
}

fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|j| (0..rows).map(move |i| x[i * columns + j]))
        .collect()
}

/// The product of `a[m, k]` and `b[n, k]`, stored as `layout` says, by the engine.
fn product(
    isa: Isa,
    threads: usize,
    (m, n, k): (usize, usize, usize),
    (a, b): (&[f32], &[f32]),
    (tx, ty): (bool, bool),
) -> Vec<f32> {
    let tensor = |x: &[f32], len: usize, by_columns: bool| {
        let (shape, data) = if by_columns {
            ([k, len], transposed(x, len, k))
        } else {
            ([len, k], x.to_vec())
        };
        Tensor::new(TensorType::fp32(shape), data)
    };
    let xs = [tensor(a, m, tx), tensor(b, n, !ty)];
    let mut g = Graph::new();
    let x = g.input("x", xs[0].ty.clone()).unwrap();
    let y = g.input("y", xs[1].ty.clone()).unwrap();
    let z = g.matmul(x, y, tx, ty).unwrap();
    g.output("z", z).unwrap();
    let options = Options {
        numerics: Numerics::ieee(),
        isa,
    };
    run(&g, &xs, options, threads).remove(0).data
}

/// Terms added in the order of the depth, as the instruction set adds them.
fn in_order(isa: Isa, (m, n, k): (usize, usize, usize), (a, b): (&[f32], &[f32])) -> Vec<f32> {
    let fused = isa != Isa::Portable || cfg!(target_arch = "aarch64");
    let add = |sum: f32, x: f32, y: f32| {
        if fused {
            x.mul_add(y, sum)
        } else {
            sum + x * y
        }
    };
    (0..m * n)
        .map(|at| {
            let (i, j) = (at / n, at % n);
            (0..k).fold(0.0, |sum, p| add(sum, a[i * k + p], b[j * k + p]))
        })
        .collect()
}

fn same(found: &[f32], want: &[f32], what: &str) {
    assert_eq!(found.len(), want.len());
    for (at, (f, w)) in found.iter().zip(want).enumerate() {
        let equal = f.to_bits() == w.to_bits() || f.is_nan() && w.is_nan();
        assert!(equal, "{what}: element {at} is {f}, not {w}");
    }
}

#[test]
fn terms_are_added_in_the_order_of_the_depth() {
    for isa in available() {
        for &shape in SHAPES {
            let (m, n, k) = shape;
            let a = factors(m, k, 0.37, |_, _| false);
            let b = factors(n, k, 0.71, |_, _| false);
            let want = in_order(isa, shape, (&a, &b));
            for layout in LAYOUTS {
                let found = product(isa, 2, shape, (&a, &b), layout);
                same(&found, &want, &format!("{isa} {shape:?} {layout:?}"));
            }
        }
    }
}

#[test]
fn zeros_that_are_left_out_change_no_bit() {
    // Whole terms, terms of some blocks, all but one row of a block, and rows.
    let patterns: [fn(usize, usize) -> bool; 5] = [
        |_, p| p % 3 != 1,
        |i, p| (i / 4 + p / 5) % 2 == 0,
        |i, p| i % 4 != p % 4,
        |i, _| i % 9 < 5,
        |_, _| true,
    ];
    for isa in available() {
        for &shape in SHAPES {
            let (m, n, k) = shape;
            for (which, is_zero) in patterns.into_iter().enumerate() {
                for both in [false, true] {
                    let a = factors(m, k, 0.37, is_zero);
                    let b = factors(n, k, 0.71, |j, p| both && is_zero(j, p));
                    let want = in_order(isa, shape, (&a, &b));
                    for layout in LAYOUTS {
                        let found = product(isa, 1, shape, (&a, &b), layout);
                        same(
                            &found,
                            &want,
                            &format!("{isa} {shape:?} {layout:?} {which}"),
                        );
                        let swapped = (n, m, k);
                        let want = in_order(isa, swapped, (&b, &a));
                        let found = product(isa, 2, swapped, (&b, &a), layout);
                        same(
                            &found,
                            &want,
                            &format!("{isa} {swapped:?} {layout:?} {which}"),
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn zero_times_what_is_not_finite_is_nan() {
    for isa in available() {
        for &shape in SHAPES {
            let (m, n, k) = shape;
            for broken in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                // One factor of one column, and zeros on the other side of it throughout.
                let (column, term) = (n / 2, k - 1);
                let a = factors(m, k, 0.37, |_, p| p == term);
                let mut b = factors(n, k, 0.71, |_, _| false);
                b[column * k + term] = broken;
                for layout in LAYOUTS {
                    let what = format!("{isa} {shape:?} {layout:?} {broken}");
                    let found = product(isa, 2, shape, (&a, &b), layout);
                    same(&found, &in_order(isa, shape, (&a, &b)), &what);
                    let is_nan = found
                        .iter()
                        .enumerate()
                        .all(|(at, x)| x.is_nan() == (at % n == column));
                    assert!(is_nan, "{what}");
                    let swapped = (n, m, k);
                    let found = product(isa, 2, swapped, (&b, &a), layout);
                    same(&found, &in_order(isa, swapped, (&b, &a)), &what);
                }
            }
        }
    }
}

/// A gradient that leaves the step, and its largest magnitude: one pass where rounding is plain.
#[test]
fn gradients_and_their_largest_magnitude_are_those_of_eval() {
    for isa in available() {
        for numerics in policies() {
            for &(m, n, k) in SHAPES {
                for scale in [1.0_f32, 96.0, 4096.0] {
                    let mut g = Graph::new();
                    let x = g.input("x", TensorType::fp16([k, m])).unwrap();
                    let y = g.input("y", TensorType::fp16([k, n])).unwrap();
                    let gradient = g.matmul(x, y, true, false).unwrap();
                    let magnitude = g.abs(gradient).unwrap();
                    let largest = g.reduce_max(magnitude, &[0, 1], true).unwrap();
                    g.output("gradient", gradient).unwrap();
                    g.output("largest", largest).unwrap();
                    // Small whole numbers: every order of adding them is exact, beyond the largest fp16 too.
                    let whole = |len: usize, seed: usize| {
                        let of = |i: usize| ((i * seed) % 7) as f32 - 3.0;
                        (0..len)
                            .map(|i| if i % 5 < 3 { 0.0 } else { of(i) })
                            .collect::<Vec<f32>>()
                    };
                    let scaled = whole(k * m, 11).into_iter().map(|x| x * scale).collect();
                    let xs = [
                        Tensor::new(TensorType::fp16([k, m]), scaled),
                        Tensor::new(TensorType::fp16([k, n]), whole(k * n, 13)),
                    ];
                    let want = eval(&g, &xs, &numerics).unwrap();
                    let options = Options {
                        numerics: numerics.clone(),
                        isa,
                    };
                    let one = run(&g, &xs, options.clone(), 1);
                    assert_eq!(bits(&one), bits(&run(&g, &xs, options, 2)));
                    if numerics.accumulate != Accumulate::Fp32 {
                        continue;
                    }
                    assert_eq!(
                        bits(&one),
                        bits(&want),
                        "{isa} {numerics:?} {:?}",
                        (m, n, k)
                    );
                }
            }
        }
    }
}
