//! What a plan says that it takes, against what the system counts. One test, since the count is of the whole process.

#![allow(clippy::unwrap_used)]

use ane_engine::{Options, Plan, Pool, SharedBuffer};
use ane_ir::{Graph, Literal, Numerics, TensorType, autodiff};

/// A line of Linux's account of this process in bytes, `None` on other systems.
fn account(line: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|l| l.strip_prefix(line))?;
    let kibibytes: usize = value.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Three layers of elementwise functions, sums and a product over many values, and their gradients.
fn step() -> Graph {
    let mut g = Graph::new();
    let ty = TensorType::fp16([1024, 1024]);
    let x = g.input("x", ty.clone()).unwrap();
    let mut wrt = Vec::new();
    let mut h = x;
    for i in 0..3 {
        let scale = g
            .input(&format!("scale{i}"), TensorType::fp16([1024]))
            .unwrap();
        let gate = g
            .input(&format!("gate{i}"), TensorType::fp16([1024, 16]))
            .unwrap();
        wrt.extend([scale, gate]);
        let narrow = g.matmul(h, gate, false, false).unwrap();
        let wide = g.matmul(narrow, gate, false, true).unwrap();
        let mean = g.reduce_mean(wide, &[0], true).unwrap();
        let centred = g.sub(wide, mean).unwrap();
        let scaled = g.mul(centred, scale).unwrap();
        let bent = g.tanh(scaled).unwrap();
        h = g.add(bent, h).unwrap();
    }
    let seed = g.constant(Literal::splat(ty, 1.0)).unwrap();
    let gradients = autodiff::vjp(&mut g, &[h], &[seed], &wrt).unwrap();
    for (i, gradient) in gradients.into_iter().enumerate() {
        g.output(&format!("g{i}"), gradient.unwrap()).unwrap();
    }
    g
}

#[test]
fn a_plan_says_within_five_percent_what_it_takes() {
    let pool = Pool::new(2).unwrap();
    let plan = Plan::compile(&step(), Options::new(Numerics::ieee())).unwrap();
    let foreseen = plan.memory(pool.threads());
    let total = foreseen.workspace + foreseen.constants + foreseen.ports;
    let Some(before) = account("VmRSS:") else {
        return;
    };
    let blank = |p: &ane_engine::Port| SharedBuffer::new(p.ty.bytes());
    let inputs: Vec<SharedBuffer> = plan.inputs().iter().map(blank).collect();
    let outputs: Vec<SharedBuffer> = plan.outputs().iter().map(blank).collect();
    let mut bound = plan.bind(&inputs, &outputs, pool.threads()).unwrap();
    for _ in 0..3 {
        // Weights that train: nothing is kept.
        inputs.iter().for_each(|b| b.write(|_| ()));
        bound.execute(&pool);
    }
    let taken = account("VmHWM:").unwrap() - before;
    let apart = taken.abs_diff(total - foreseen.constants);
    assert!(total > 20 << 20, "{foreseen:?}");
    assert!(
        apart * 20 < total,
        "foreseen {total} bytes, taken {taken}: {foreseen:?}"
    );
}
