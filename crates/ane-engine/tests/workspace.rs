//! Programs that share memory, packed operands that are kept, and what a plan says that it takes.

#![allow(clippy::unwrap_used)]

use ane_engine::{Options, Plan, Pool, SharedBuffer, Workspace};
use ane_ir::{Graph, Literal, Numerics, Tensor, TensorType, eval, ops::Fill, testing};

/// A layer of `width` units over 6 examples of 40 values, and the sum of its squares.
fn layer(width: usize) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([6, 40])).unwrap();
    let w = g.input("w", TensorType::fp16([width, 40])).unwrap();
    let z = g.matmul(x, w, false, true).unwrap();
    let z = g.relu(z).unwrap();
    let squares = g.mul(z, z).unwrap();
    let sum = g.reduce_sum(squares, &[1], true).unwrap();
    g.output("z", z).unwrap();
    g.output("sum", sum).unwrap();
    g
}

fn bytes(x: &Tensor<f32>) -> Vec<u8> {
    let elements: Vec<f64> = x.data.iter().map(|&e| e.into()).collect();
    Literal::from_f64(x.ty.clone(), &elements).bytes().to_vec()
}

struct Program {
    graph: Graph,
    plan: Plan,
    inputs: Vec<SharedBuffer>,
    outputs: Vec<SharedBuffer>,
}

impl Program {
    fn new(width: usize) -> Self {
        let graph = layer(width);
        let plan = Plan::compile(&graph, Options::new(Numerics::ieee())).unwrap();
        let blank = |p: &ane_engine::Port| SharedBuffer::new(p.ty.bytes());
        Self {
            inputs: plan.inputs().iter().map(blank).collect(),
            outputs: plan.outputs().iter().map(blank).collect(),
            plan,
            graph,
        }
    }

    fn set(&self, port: usize, seed: u64) -> Tensor<f32> {
        let x = testing::tensor(&self.plan.inputs()[port].ty, Fill::Signed, seed);
        self.inputs[port].write(|b| b.copy_from_slice(&bytes(&x)));
        x
    }

    fn check(&self, xs: &[Tensor<f32>]) {
        let want = eval(&self.graph, xs, &Numerics::ieee()).unwrap();
        // The first output is exact; the second is a sum in another order.
        let found = self.outputs[0].read(<[u8]>::to_vec);
        assert_eq!(found, bytes(&want[0]));
        self.outputs[1].read_u16(|sums| {
            for (&s, &w) in sums.iter().zip(&want[1].data) {
                let s = half::f16::from_bits(s).to_f64();
                assert!(testing::fp16_ulps(s, w.into()) <= 1, "{s} {w}");
            }
        });
    }
}

#[test]
fn programs_take_turns_in_one_workspace_that_grows() {
    let pool = Pool::new(2).unwrap();
    let workspace = Workspace::new();
    assert!(workspace.is_empty());
    let (small, large) = (Program::new(30), Program::new(500));
    let bind = |p: &Program| {
        p.plan
            .bind_in(&workspace, &p.inputs, &p.outputs, 2)
            .unwrap()
    };
    let mut first = bind(&small);
    let before = workspace.len();
    for seed in 0..3 {
        let xs = [small.set(0, seed), small.set(1, 9)];
        first.execute(&pool);
        small.check(&xs);
    }
    let mut second = bind(&large);
    assert!(workspace.len() > before, "{} {before}", workspace.len());
    let third = bind(&small);
    let least = large.plan.arena_bytes();
    assert!(workspace.len() > least && workspace.len() <= large.plan.memory(2).workspace);
    drop(third);
    for seed in 3..6 {
        let xs = [small.set(0, seed), small.set(1, 10)];
        let ys = [large.set(0, seed), large.set(1, 11)];
        first.execute(&pool);
        second.execute(&pool);
        small.check(&xs);
        large.check(&ys);
        first.execute(&pool);
        small.check(&xs);
    }
}

#[test]
fn a_kept_operand_is_packed_again_when_its_buffer_changes() {
    let pool = Pool::new(2).unwrap();
    let program = Program::new(70);
    let mut bound = program
        .plan
        .bind(&program.inputs, &program.outputs, 2)
        .unwrap();
    let mut packs = Vec::new();
    for round in 0..3 {
        let w = program.set(1, 100 + round);
        for batch in 0..4 {
            let x = program.set(0, batch);
            bound.execute(&pool);
            program.check(&[x, w.clone()]);
            packs.push(bound.kept_packs());
        }
    }
    // Nothing is known of the weights at the first batch; from the third on the pack of the second is read.
    let round = [0, 0, 1, 1];
    assert_eq!(packs, [round, round, round].concat());
}
