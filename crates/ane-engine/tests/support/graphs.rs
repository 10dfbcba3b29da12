//! Running graphs on the engine.

#![allow(clippy::unwrap_used)]

use ane_engine::{Options, Plan, Pool, SharedBuffer, simd::Isa};
use ane_ir::{Chip, Graph, Literal, Numerics, Route, Target, Tensor};

/// Inputs into buffers, an execution, outputs as tensors.
pub(crate) fn run(
    g: &Graph,
    xs: &[Tensor<f32>],
    options: Options,
    threads: usize,
) -> Vec<Tensor<f32>> {
    let plan = Plan::compile(g, options).unwrap();
    let inputs: Vec<SharedBuffer> = xs.iter().map(buffer).collect();
    let outputs: Vec<SharedBuffer> = plan
        .outputs()
        .iter()
        .map(|p| SharedBuffer::new(p.ty.bytes()))
        .collect();
    let pool = Pool::new(threads).unwrap();
    let mut bound = plan.bind(&inputs, &outputs, threads).unwrap();
    // Twice: state left over from the first execution must not show in the second.
    bound.execute(&pool);
    bound.execute(&pool);
    plan.outputs()
        .iter()
        .zip(&outputs)
        .map(|(p, b)| {
            let bytes = b.read(|x| x[..p.ty.bytes()].to_vec());
            Literal::from_bytes(p.ty.clone(), bytes)
                .unwrap()
                .to_tensor()
        })
        .collect()
}

pub(crate) fn buffer(x: &Tensor<f32>) -> SharedBuffer {
    let elements: Vec<f64> = x.data.iter().map(|&e| f64::from(e)).collect();
    let literal = Literal::from_f64(x.ty.clone(), &elements);
    let b = SharedBuffer::new(x.ty.bytes());
    b.write(|bytes| bytes.copy_from_slice(literal.bytes()));
    b
}

pub(crate) fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|i| i.available())
}

/// Rounding as IEEE, as one chip, and with the habits of hardware.
pub(crate) fn policies() -> Vec<Numerics> {
    let h13 = Numerics::of(&Target::new(Chip::H13, Route::E5rt));
    vec![
        Numerics::ieee(),
        Numerics::ieee().pessimistic(),
        h13.clone(),
        h13.clone().silicon(),
        h13.pessimistic().silicon(),
    ]
}

/// The bits of every element.
pub(crate) fn bits(ts: &[Tensor<f32>]) -> Vec<Vec<u32>> {
    ts.iter()
        .map(|t| t.data.iter().map(|x| x.to_bits()).collect())
        .collect()
}
