//! What reads and writes by index, over more rows than a task has, against the definition bit for bit.

#![allow(clippy::unwrap_used)]

#[path = "support/graphs.rs"]
mod support;

use ane_engine::{Options, Plan};
use ane_ir::{
    DType, Graph, Numerics, Tensor, TensorType, Value, autodiff, eval,
    ops::{
        Fill,
        gather::Gather,
        reduce_argmax::ReduceArgmax,
        scatter::{Mode, Scatter},
    },
    testing,
};
use support::{available, bits, policies, run};

fn check(g: &Graph, xs: &[Tensor<f32>]) {
    for numerics in policies() {
        let want = bits(&eval(g, xs, &numerics).unwrap());
        for isa in available() {
            let numerics = numerics.clone();
            let options = Options { numerics, isa };
            for threads in [1, 3] {
                assert_eq!(
                    want,
                    bits(&run(g, xs, options.clone(), threads)),
                    "{isa}\n{g}"
                );
            }
        }
    }
}

/// Whole numbers around the range of `length`, some outside of it.
fn indices(dims: &[usize], length: usize) -> Tensor<f32> {
    let ty = TensorType::new(DType::Int32, dims);
    let n = ty.shape.numel();
    let index = |i: usize| ((i * 7919) % (length + 2)) as f32 - 1.0;
    Tensor::new(ty, (0..n).map(index).collect())
}

fn signed(dtype: DType, dims: &[usize], seed: u64) -> Tensor<f32> {
    testing::tensor(&TensorType::new(dtype, dims), Fill::Signed, seed)
}

fn inputs(g: &mut Graph, xs: &[Tensor<f32>]) -> Vec<Value> {
    let each = xs.iter().enumerate();
    each.map(|(i, x)| g.input(&format!("x{i}"), x.ty.clone()).unwrap())
        .collect()
}

#[test]
fn slices_are_gathered_from_ports_and_from_what_ops_made() {
    type Case = (&'static [usize], &'static [usize], i32, i32);
    let cases: &[Case] = &[
        (&[300, 70], &[900], 0, 0),
        (&[5, 40, 9], &[33, 3], 1, 0),
        (&[4, 6, 50], &[4, 21], 2, 1),
        (&[4, 50, 7], &[4, 21], 1, 1),
    ];
    for &(dims, of, axis, batch_dims) in cases {
        for dtype in [DType::Fp16, DType::Fp32, DType::Int32, DType::Int8] {
            let length = dims[usize::try_from(axis).unwrap()];
            let fill = if dtype.is_float() {
                Fill::Signed
            } else {
                Fill::Integers
            };
            let x = testing::tensor(&TensorType::new(dtype, dims), fill, 1);
            let xs = [x, indices(of, length)];
            let mut g = Graph::new();
            let v = inputs(&mut g, &xs);
            let op = Gather {
                axis,
                batch_dims,
                validate_indices: false,
            };
            let y = g.push(op.clone(), &[v[0], v[1]]).unwrap();
            g.output("y", y).unwrap();
            if dtype.is_float() {
                let made = g.abs(v[0]).unwrap();
                let z = g.push(op, &[made, v[1]]).unwrap();
                let z = g.relu(z).unwrap();
                g.output("z", z).unwrap();
            }
            check(&g, &xs);
        }
    }
}

#[test]
fn updates_are_added_in_the_order_of_their_indices() {
    type Case = (&'static [usize], &'static [usize], i32);
    let cases: &[Case] = &[
        (&[700, 70], &[900, 70], 0),
        (&[3, 40, 9], &[3, 200, 9], 1),
        (&[9, 300], &[9, 400], 1),
    ];
    let modes = [
        Mode::Add,
        Mode::Sub,
        Mode::Mul,
        Mode::Max,
        Mode::Min,
        Mode::Update,
    ];
    for &(dims, of, axis) in cases {
        let at = usize::try_from(axis).unwrap();
        for dtype in [DType::Fp16, DType::Fp32] {
            for mode in modes {
                let xs = [
                    signed(dtype, dims, 1),
                    indices(&of[at..=at], dims[at]),
                    signed(dtype, of, 2),
                ];
                let mut g = Graph::new();
                let v = inputs(&mut g, &xs);
                let op = Scatter {
                    axis,
                    mode,
                    validate_indices: false,
                };
                let y = g.push(op.clone(), &[v[0], v[1], v[2]]).unwrap();
                let zeros = g.fill(&TensorType::new(dtype, dims), 0.5).unwrap();
                let z = g.push(op, &[zeros, v[1], v[2]]).unwrap();
                g.output("y", y).unwrap();
                g.output("z", z).unwrap();
                check(&g, &xs);
            }
        }
    }
}

#[test]
fn the_gradient_of_an_embedding_writes_no_zeros_of_its_own() {
    let xs = [
        signed(DType::Fp16, &[500, 33], 1),
        indices(&[800], 500),
        signed(DType::Fp16, &[800, 33], 2),
    ];
    let mut g = Graph::new();
    let v = inputs(&mut g, &xs);
    let y = g.gather(v[0], v[1], 0).unwrap();
    g.output("y", y).unwrap();
    let dx = autodiff::vjp(&mut g, &[y], &[v[2]], &[v[0]]).unwrap()[0].unwrap();
    g.output("dx", dx).unwrap();
    check(&g, &xs);
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    // What is gathered and what is scattered, each with the way to its port.
    assert!(plan.unit_count() <= 4, "{} units", plan.unit_count());
}

#[test]
fn vectors_are_on_at_their_index_and_nowhere_else() {
    for (axis, dtype) in [
        (-1, DType::Fp16),
        (0, DType::Fp32),
        (1, DType::Bool),
        (1, DType::Int32),
    ] {
        let xs = [indices(&[60, 90], 130)];
        let mut g = Graph::new();
        let v = inputs(&mut g, &xs);
        let y = g.one_hot(v[0], 130, axis, dtype).unwrap();
        g.output("y", y).unwrap();
        check(&g, &xs);
    }
}

#[test]
fn the_first_largest_element_is_found() {
    let mut x = signed(DType::Fp32, &[40, 70, 9], 1);
    // Few distinct values, so that many are largest; some that are no numbers, and a row of infinities.
    for (i, e) in x.data.iter_mut().enumerate() {
        *e = (*e * 4.0).round();
        if i % 997 == 5 {
            *e = f32::NAN;
        }
    }
    x.data[..9].fill(f32::NEG_INFINITY);
    let xs = [x];
    for axis in [-1, 0, 1] {
        for output_dtype in [DType::Int32, DType::UInt16] {
            let mut g = Graph::new();
            let v = inputs(&mut g, &xs);
            let op = ReduceArgmax {
                axis,
                output_dtype,
                keep_dims: false,
            };
            let y = g.push(op, &[v[0]]).unwrap();
            g.output("y", y).unwrap();
            check(&g, &xs);
        }
    }
}

#[test]
fn what_is_the_same_everywhere_is_made_where_it_is_read() {
    let xs = [signed(DType::Fp16, &[70, 90], 1)];
    let mut g = Graph::new();
    let v = inputs(&mut g, &xs);
    let halves = g.fill(&TensorType::fp16([70, 90]), 0.5).unwrap();
    let row = g.fill(&TensorType::fp16([90]), 1e-7).unwrap();
    let y = g.mul(v[0], halves).unwrap();
    let y = g.add(y, row).unwrap();
    g.output("y", y).unwrap();
    g.output("row", row).unwrap();
    g.output("halves", halves).unwrap();
    check(&g, &xs);
}
