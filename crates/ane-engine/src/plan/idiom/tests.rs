//! What chains of instructions become.

use crate::{
    Options, Plan,
    plan::{
        Work,
        chain::{Instr, Src},
        function::Ew,
        fused_pair::FusedPair,
    },
};
use ane_ir::{DType, Graph, Numerics, TensorType, Value};

/// The instructions of a graph over three tensors `x` and a scalar that makes one chain.
fn chain_of(build: impl FnOnce(&mut Graph, [Value; 3], Value) -> Value) -> Vec<Instr> {
    let mut g = Graph::new();
    let x = ["a", "b", "c"].map(|name| g.input(name, TensorType::fp16([64])).unwrap());
    let scalar = g.input("scalar", TensorType::fp16([1])).unwrap();
    let y = build(&mut g, x, scalar);
    g.output("y", y).unwrap();
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    let [unit] = &plan.0.units[..] else {
        panic!("{} units", plan.0.units.len())
    };
    let Work::Chain { chain, .. } = &unit.work else {
        panic!("not a chain")
    };
    chain.instrs.clone()
}

fn passes(instrs: &[Instr]) -> Vec<&Instr> {
    let is_pass = |i: &&Instr| matches!(i, Instr::Compute { .. } | Instr::Pair { .. });
    instrs.iter().filter(is_pass).collect()
}

#[test]
fn neighbours_are_fused() {
    let instrs = chain_of(|g, [a, b, c], scalar| {
        let gap = g.sub(a, b).unwrap();
        let gain = g.mul(gap, scalar).unwrap();
        g.add(c, gain).unwrap()
    });
    let [
        Instr::Pair { pair, xs, .. },
        Instr::Compute { f: Ew::Add, .. },
    ] = passes(&instrs)[..]
    else {
        panic!("{instrs:?}")
    };
    assert_eq!(*pair, FusedPair::SubMul);
    assert!(matches!(xs[3], Src::Uniform(0)), "{xs:?}");
}

#[test]
fn what_others_read_too_is_kept() {
    let instrs = chain_of(|g, [a, b, _], scalar| {
        let product = g.mul(a, b).unwrap();
        let sum = g.add(product, scalar).unwrap();
        g.real_div(sum, product).unwrap()
    });
    let first = passes(&instrs)[0];
    assert!(
        matches!(first, Instr::Compute { f: Ew::Mul, .. }),
        "{instrs:?}"
    );
}

#[test]
fn a_gradient_leaves_in_one_pass() {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([8, 100])).unwrap();
    let y = g.input("y", TensorType::fp16([8, 70])).unwrap();
    let gradient = g.matmul(x, y, true, false).unwrap();
    let magnitude = g.abs(gradient).unwrap();
    let largest = g.reduce_max(magnitude, &[0, 1], true).unwrap();
    g.output("gradient", gradient).unwrap();
    g.output("largest", largest).unwrap();
    let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
    let chain_of_product = plan.0.units.iter().find_map(|unit| match &unit.work {
        Work::Matmul(work) => Some((&work.chain.instrs[..], work.crossed)),
        _ => None,
    });
    let Some((
        [
            Instr::GradientOutput {
                from: Src::Head, ..
            },
        ],
        true,
    )) = chain_of_product
    else {
        panic!("{chain_of_product:?}")
    };
}

#[test]
fn two_sum_is_one_sum_and_one_error() {
    let two_sum = |swapped: bool| {
        chain_of(move |g, [a, b, _], scalar| {
            let [a, b] = [a, b].map(|x| g.mul(x, scalar).unwrap());
            let sum = g.add(a, b).unwrap();
            let low_seen = g.sub(sum, a).unwrap();
            let high_seen = g.sub(sum, low_seen).unwrap();
            let high = if swapped { b } else { a };
            let high_error = g.sub(high, high_seen).unwrap();
            let low_error = g.sub(b, low_seen).unwrap();
            let error = g.add(high_error, low_error).unwrap();
            let large = g.scalar(DType::Fp16, 2048.0).unwrap();
            let scaled = g.real_div(error, large).unwrap();
            g.add(sum, scaled).unwrap()
        })
    };
    let errors = |instrs: &[Instr]| {
        let is_error = |i: &&Instr| {
            matches!(
                i,
                Instr::Compute {
                    f: Ew::SumError,
                    ..
                }
            )
        };
        instrs.iter().filter(is_error).count()
    };
    assert_eq!(errors(&two_sum(false)), 1);
    // Operands in another order compute something else.
    assert_eq!(errors(&two_sum(true)), 0);
}
