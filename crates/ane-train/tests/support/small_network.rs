//! A small network on a small batch, with weights that break a step in one way each.

#![allow(dead_code, reason = "each test has use for some of it")]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Numerics, Target};
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, Values},
    fidelity::{Fidelity, ParameterFidelity},
    loss::Loss,
    model::Model,
    models::Mlp,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use half::f16;
use std::{collections::BTreeSet, sync::Arc};

pub(crate) const BATCH: usize = 16;
pub(crate) const INPUTS: usize = 20;
pub(crate) const CLASSES: usize = 10;
pub(crate) const LOSS: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

/// 20-32-10 for a target that computes so, which nobody watches.
pub(crate) fn trainer_on(target: Target, numerics: &Numerics, plan: PlanKind) -> Trainer {
    let model = "20-32-10".parse::<Mlp>().unwrap().model(BATCH).unwrap();
    trainer_of(model, target, numerics, plan)
}

/// A model of the batch.
pub(crate) fn trainer_of(
    model: Model,
    target: Target,
    numerics: &Numerics,
    plan: PlanKind,
) -> Trainer {
    let pool = Arc::new(Pool::new(1).unwrap());
    let settings = Settings {
        target,
        numerics: numerics.clone(),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let config = TrainerConfig {
        model,
        objective: Objective::of(LOSS, "logits", "label"),
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        lr: 1e-3,
        schedule: Schedule::Constant,
        total_steps: 10,
        max_norm: None,
        seed: 0,
    };
    let device = open("software", &settings).unwrap();
    Trainer::new(config, device, pool, Isa::detect()).unwrap()
}

/// 20-32-10 on `software`, every overflow of which is looked into.
pub(crate) fn trainer(plan: PlanKind) -> Trainer {
    let mut t = trainer_on(Target::SOFTWARE, &Numerics::ieee(), plan);
    t.watch(Numerics::ieee(), true, &BTreeSet::new());
    t
}

/// Inputs between −1 and 1 that differ, as fp16 holds them.
pub(crate) fn inputs() -> Vec<f32> {
    let all = (0..BATCH * INPUTS).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0);
    all.map(|x| f16::from_f32(x).to_f32()).collect()
}

/// One batch.
pub(crate) fn batch() -> [Batch; 1] {
    let labels = (0..BATCH).map(|i| (i % CLASSES) as i32);
    let bits = inputs().into_iter().map(|x| f16::from_f32(x).to_bits());
    let mut batch = Batch::new(BATCH, BATCH);
    batch.set("x", Values::Fp16(bits.collect()));
    batch.set("label", Values::Int32(labels.collect()));
    [batch]
}

/// A tensor, and what an element of it is, by its position.
pub(crate) type Filled = (&'static str, fn(usize) -> f32);

/// Replaces the weights that are named: element i of a tensor is what the function says.
pub(crate) fn fill(t: &mut Trainer, values: &[Filled]) {
    let weights = t.weights().unwrap().into_iter();
    let weights: Vec<Vec<f32>> = weights
        .map(|(name, _, old)| match values.iter().find(|v| v.0 == name) {
            Some((_, value)) => (0..old.len()).map(value).collect(),
            None => old,
        })
        .collect();
    t.set_weights(&weights).unwrap();
}

/// Within a thousandth.
pub(crate) fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!(
        (found / expected - 1.0).abs() < 1e-3,
        "{found} is not {expected}"
    );
}

/// A layer whose weights are huge: the product with the inputs is beyond fp16.
pub(crate) const HUGE: [Filled; 1] = [("0.weight", |_| 50_000.0)];
/// Small activations before large weights: the logits are finite, and what flows back through the weights is not.
pub(crate) const STEEP: [Filled; 3] = [
    ("0.weight", |i| if i % 2 == 0 { 1e-3 } else { -1e-3 }),
    ("0.bias", |_| 1e-3),
    ("2.weight", |i| if i % 3 == 0 { 3000.0 } else { -3000.0 }),
];
/// A bias that no activation survives.
pub(crate) const DEAD: [Filled; 1] = [("0.bias", |_| -1000.0)];

/// How near the gradients of a batch come.
pub(crate) fn judged(
    t: &mut Trainer,
    batch: &Batch,
    numerics: &Numerics,
) -> Vec<ParameterFidelity> {
    let mut fidelity = Fidelity::new(t, numerics.clone());
    fidelity.add(t, batch).unwrap();
    fidelity.parameters()
}
