//! A model that computes its loss itself trains as one whose loss is an objective's, and what moves an update by hand.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_train::{
    Trainer, TrainerConfig, TrainerError,
    data::{Batch, Values},
    loss::Loss,
    model::{Builder, Input, Model, ModelError},
    nn::Linear,
    objective::{Objective, ObjectiveError},
    optim::{Adam, OptimizerConfig, Sgd},
    schedule::Schedule,
    step::{PlanKind, StepError},
    update::{Groups, ParameterGroup},
};
use half::f16;
use std::sync::Arc;

const BATCH: usize = 4;

fn layer(cx: &mut Builder, x: ane_ir::Value) -> Result<ane_ir::Value, ModelError> {
    cx.layer("fc", Linear::new(3, 2), x)
}

/// The mean square of y − t, where the target `t` is an input.
fn own() -> Model {
    let inputs = [Input::fp16("x", [3]), Input::fp16("t", [2])];
    Model::build("own", BATCH, &inputs, |cx, given| {
        let y = layer(cx, given[0])?;
        let g = cx.graph();
        let d = g.sub(y, given[1])?;
        let square = g.mul(d, d)?;
        let loss = g.reduce_mean(square, &[0, 1], true)?;
        cx.set_loss(loss);
        Ok([("y", y)])
    })
    .unwrap()
}

fn plain() -> Model {
    Model::build("plain", BATCH, &[Input::fp16("x", [3])], |cx, given| {
        Ok([("y", layer(cx, given[0])?)])
    })
    .unwrap()
}

fn trainer(
    model: Model,
    objective: Objective,
    optimizer: OptimizerConfig,
) -> Result<Trainer, TrainerError> {
    let pool = Arc::new(Pool::new(1).unwrap());
    let settings = Settings {
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let config = TrainerConfig {
        model,
        objective,
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        plan: PlanKind::Split,
        optimizer,
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 0.1,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        accumulate: 1,
        seed: 1,
    };
    let device = open("software", &settings).unwrap();
    Trainer::new(config, device, pool, Isa::detect())
}

fn sgd() -> OptimizerConfig {
    OptimizerConfig::Sgd(Sgd::default())
}

fn numbers(from: usize, n: usize) -> Values {
    let number = |i: usize| ((i * 29 + 7) % 65) as f32 / 32.0 - 1.0;
    let bits = (from..from + n).map(|i| f16::from_f32(number(i)).to_bits());
    Values::Fp16(bits.collect())
}

fn batch() -> Batch {
    let mut batch = Batch::new(BATCH, BATCH);
    batch.set("x", numbers(0, 3 * BATCH));
    batch.set("t", numbers(50, 2 * BATCH));
    batch
}

#[test]
fn its_steps_are_those_of_an_objective() {
    let mut own = trainer(own(), Objective::own(), sgd()).unwrap();
    let mut other = trainer(plain(), Objective::of(Loss::Mse, "y", "t"), sgd()).unwrap();
    for step in 0..5 {
        let [a, b] = [&mut own, &mut other].map(|t| t.train_step(&[batch()]).unwrap());
        assert!((a.loss - b.loss).abs() < 2e-3, "{step}: {a:?} {b:?}");
    }
    let [a, b] = [&own, &other].map(|t| t.weights().unwrap());
    for ((path, _, a), (_, _, b)) in a.iter().zip(&b) {
        let near = a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-3);
        assert!(near, "{path}: {a:?} {b:?}");
    }
    let [a, b] = [&mut own, &mut other].map(|t| t.evaluate(&batch()).unwrap());
    assert!((a.loss - b.loss).abs() < 2e-3, "{a:?} {b:?}");
    let [a, b] = [&mut own, &mut other].map(|t| t.probe(&batch()).unwrap());
    assert_eq!(a.gradients.len(), 2);
    for ((_, a), (_, b)) in a.gradients.iter().zip(&b.gradients) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 5e-3));
    }
}

#[test]
fn predicting_wants_no_targets() {
    let mut t = trainer(own(), Objective::own(), sgd()).unwrap();
    let mut without = Batch::new(BATCH, BATCH);
    without.set("x", numbers(0, 3 * BATCH));
    let found = t.predict(&without).unwrap();
    assert_eq!(found, t.evaluate(&batch()).unwrap().outputs);
    assert!(t.evaluate(&without).is_err());
}

#[test]
fn an_objective_without_terms_wants_a_loss() {
    let error = trainer(plain(), Objective::own(), sgd()).unwrap_err();
    let TrainerError::Step(StepError::Objective(ObjectiveError::NoTerms { model })) = error else {
        panic!("{error}");
    };
    assert_eq!(model, "plain");
}

#[test]
fn groups_say_who_moves_and_from_which_update_on() {
    let adam = OptimizerConfig::Adam(Adam::default());
    let of = |optimizer: OptimizerConfig, lr, updates, parameters: &[usize]| ParameterGroup {
        optimizer,
        lr,
        updates,
        parameters: parameters.to_vec(),
    };
    let mut t = trainer(own(), Objective::own(), adam.clone()).unwrap();
    let before = t.weights().unwrap();
    t.set_lr(1.0);
    t.set_groups(&[of(adam.clone(), 0.01, 0, &[0])]).unwrap();
    t.train_step(&[batch()]).unwrap();
    let after = t.weights().unwrap();
    assert_eq!(before[1], after[1], "the bias is in no group");
    // The first step of Adam has the length of the learning rate, and a later one of the same moments does not.
    let moved = |a: &[f32], b: &[f32]| (a[0] - b[0]).abs();
    assert!((moved(&before[0].2, &after[0].2) - 0.01).abs() < 1e-4);
    t.set_optimizer_state(&[]).unwrap();
    t.set_groups(&[of(adam.clone(), 0.01, 1_000, &[0])])
        .unwrap();
    t.train_step(&[batch()]).unwrap();
    let later = t.weights().unwrap();
    assert!(moved(&after[0].2, &later[0].2) > 0.015);
    let kept = t.optimizer_state().unwrap();
    let names: Vec<&str> = kept.iter().map(|(role, ..)| role.as_str()).collect();
    assert_eq!(names, ["exp_avg", "exp_avg", "exp_avg_sq", "exp_avg_sq"]);
    let mut without = trainer(own(), Objective::own(), sgd()).unwrap();
    let error = without.set_groups(&[of(adam, 0.01, 0, &[0])]).unwrap_err();
    assert!(error.to_string().contains("exp_avg"), "{error}");
}
