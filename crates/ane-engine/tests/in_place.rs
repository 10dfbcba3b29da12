//! State in place: an output in the buffer of its input gives the bits that it gives in a buffer of its own.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_engine::{BindError, Options, Plan, Pool, SharedBuffer};
use ane_ir::{
    DType, Graph, Numerics, TensorType, Value,
    ops::Fill,
    testing::{self, tensor},
};
use half::f16;
use proptest::prelude::*;
use std::cell::Cell;

/// Buffers with the same fp16 numbers at every call.
fn filled(plan: &Plan) -> Vec<SharedBuffer> {
    let fill = |(i, port): (usize, &ane_engine::Port)| {
        let numbers = tensor::<f32>(&port.ty, Fill::Signed, i as u64);
        let buffer = SharedBuffer::new(port.ty.bytes());
        buffer.write_u16(|to| {
            for (to, x) in to.iter_mut().zip(&numbers.data) {
                *to = f16::from_f32(*x).to_bits();
            }
        });
        buffer
    };
    plan.inputs().iter().enumerate().map(fill).collect()
}

fn bytes(buffer: &SharedBuffer) -> Vec<u8> {
    buffer.read(<[u8]>::to_vec)
}

/// What the outputs hold after three executions, each of which reads what the one before wrote to the pairs of `graph`.
fn outputs(graph: &Graph, in_place: bool, threads: usize) -> Vec<Vec<u8>> {
    let plan = Plan::compile(graph, Options::new(Numerics::ieee())).unwrap();
    let pool = Pool::new(threads).unwrap();
    let inputs = filled(&plan);
    let mut outputs: Vec<SharedBuffer> = plan
        .outputs()
        .iter()
        .map(|port| SharedBuffer::new(port.ty.bytes()))
        .collect();
    if in_place {
        for &(input, output) in graph.in_place() {
            outputs[output] = inputs[input].clone();
        }
    }
    let mut bound = plan.bind(&inputs, &outputs, threads).unwrap();
    for _ in 0..3 {
        bound.execute(&pool);
        if !in_place {
            for &(input, output) in graph.in_place() {
                let next = bytes(&outputs[output]);
                inputs[input].write(|to| to.copy_from_slice(&next));
            }
        }
    }
    outputs.iter().map(bytes).collect()
}

#[track_caller]
fn agrees(graph: &Graph) {
    let apart = outputs(graph, false, 1);
    for threads in [1, 3] {
        assert_eq!(outputs(graph, true, threads), apart, "{graph}");
    }
}

/// `w` and `v` of one shape, made to outputs by `next`.
fn state(dims: &[usize], next: impl Fn(&mut Graph, Value, Value) -> [Value; 2]) -> Graph {
    let mut g = Graph::new();
    let w = g.input("w", TensorType::fp16(dims)).unwrap();
    let v = g.input("v", TensorType::fp16(dims)).unwrap();
    let [w_next, v_next] = next(&mut g, w, v);
    g.output("w_next", w_next).unwrap();
    g.output("v_next", v_next).unwrap();
    g.declare_in_place("w", "w_next").unwrap();
    g.declare_in_place("v", "v_next").unwrap();
    g
}

#[test]
fn an_update_reads_its_own_elements_before_it_writes_them() {
    agrees(&state(&[60, 700], |g, w, v| {
        let half = g.scalar(DType::Fp16, 0.5).unwrap();
        let v_next = g.mul(v, half).unwrap();
        [g.sub(w, v_next).unwrap(), v_next]
    }));
}

#[test]
fn an_input_that_is_read_after_its_output_is_known_keeps_its_old_value() {
    agrees(&state(&[60, 700], |g, w, v| {
        let w_next = g.add(w, v).unwrap();
        [w_next, g.mul(w, w_next).unwrap()]
    }));
}

#[test]
fn pairs_that_swap_read_the_old_values() {
    agrees(&state(&[60, 700], |g, w, v| {
        [g.relu(v).unwrap(), g.abs(w).unwrap()]
    }));
}

#[test]
fn products_read_the_whole_of_an_input_that_is_written_by_their_own_pass() {
    agrees(&state(&[96, 96], |g, w, v| {
        let product = g.matmul(w, v, false, false).unwrap();
        let w_next = g.tanh(product).unwrap();
        let back = g.matmul(w_next, w, true, true).unwrap();
        let v_next = g.tanh(back).unwrap();
        [w_next, v_next]
    }));
}

#[test]
fn transposed_and_broadcast_reads_see_old_elements_only() {
    agrees(&state(&[64, 64], |g, w, v| {
        let transposed = g.transpose(w, &[1, 0]).unwrap();
        let row = g.slice_by_size(v, &[3, 0], &[1, 64]).unwrap();
        [g.tanh(transposed).unwrap(), g.maximum(v, row).unwrap()]
    }));
}

#[test]
fn random_graphs_in_place_are_those_apart() {
    let declared = Cell::new(0);
    for seed in testing::seeds() {
        let config = ProptestConfig {
            cases: 60,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
            ..ProptestConfig::default()
        };
        proptest!(config, |(choices in proptest::collection::vec(any::<u8>(), 3..60))| {
            let mut g = testing::random_graph(&choices);
            let name = |g: &Graph, v: Value| g.port(v).to_owned();
            let inputs: Vec<String> = g.inputs().iter().map(|&v| name(&g, v)).collect();
            for output in g.outputs().to_vec() {
                let output = name(&g, output);
                // The first input that fits and is free.
                let pair = inputs.iter().find(|i| g.declare_in_place(i, &output).is_ok());
                declared.set(declared.get() + usize::from(pair.is_some()));
            }
            prop_assert_eq!(outputs(&g, true, 2), outputs(&g, false, 2), "{}", g);
        });
    }
    assert!(declared.get() > 20, "only {declared:?} pairs were tried");
}

#[test]
fn only_declared_pairs_share_a_buffer() {
    let g = state(&[2, 32], |g, w, v| [g.relu(w).unwrap(), g.abs(v).unwrap()]);
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    let buffer = || SharedBuffer::new(128);
    let (w, v) = (buffer(), buffer());
    let bind = |inputs: [&SharedBuffer; 2], outputs: [&SharedBuffer; 2]| {
        let all = |buffers: [&SharedBuffer; 2]| buffers.map(Clone::clone);
        let bound = plan.bind(&all(inputs), &all(outputs), 1);
        bound.map(|_| ()).map_err(|e| match e {
            BindError::Shared { output, other } => [output, other],
            other => panic!("{other}"),
        })
    };
    assert_eq!(bind([&w, &v], [&w, &v]), Ok(()));
    assert_eq!(bind([&w, &v], [&w, &buffer()]), Ok(()));
    let refused = |output: &str, other: &str| Err([output.to_owned(), other.to_owned()]);
    assert_eq!(bind([&w, &v], [&v, &w]), refused("w_next", "v"));
    assert_eq!(bind([&w, &w], [&w, &v]), refused("w_next", "v"));
    let one = buffer();
    assert_eq!(bind([&w, &v], [&one, &one]), refused("w_next", "v_next"));
}
