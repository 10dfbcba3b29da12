//! Steps that overflow are skipped, also on engines where infinity and NaN do not survive.

#![allow(clippy::unwrap_used)]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Chip, Numerics, Route, Target};
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, Values},
    loss::Loss,
    loss_scale::LossScale,
    models::Mlp,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use half::f16;
use std::sync::Arc;

const BATCH: usize = 16;
const INPUTS: usize = 20;
const CLASSES: usize = 10;
const LOSS: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

fn trainer(target: Target, numerics: &Numerics, plan: PlanKind) -> Trainer {
    let pool = Arc::new(Pool::new(1).unwrap());
    let settings = Settings {
        target,
        numerics: numerics.clone(),
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let config = TrainerConfig {
        model: "20-32-24-10".parse::<Mlp>().unwrap().model(BATCH).unwrap(),
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
    Trainer::new(
        config,
        open("software", &settings).unwrap(),
        pool,
        Isa::detect(),
    )
    .unwrap()
}

fn bits(x: impl IntoIterator<Item = f32>) -> Vec<u16> {
    x.into_iter().map(|x| f16::from_f32(x).to_bits()).collect()
}

/// A batch whose inputs are all `x`.
fn batch(x: f32) -> [Batch; 1] {
    let labels = (0..BATCH).map(|i| (i % CLASSES) as i32);
    let mut batch = Batch::new(BATCH, BATCH);
    batch.set("x", Values::Fp16(bits(vec![x; BATCH * INPUTS])));
    batch.set("label", Values::Int32(labels.collect()));
    [batch]
}

/// Ways to compute: as IEEE says, and as chips are reported to.
fn policies() -> Vec<(Target, Numerics)> {
    let h16 = Target::new(Chip::H16, Route::E5rt);
    vec![
        (Target::SOFTWARE, Numerics::ieee()),
        (h16, Numerics::of(&h16)),
        (h16, Numerics::of(&h16).silicon()),
        (h16, Numerics::of(&h16).silicon().pessimistic()),
    ]
}

/// The step is skipped and leaves no trace but a smaller scale; the next good one is taken.
fn is_skipped(t: &mut Trainer, bad: &[Batch], what: &str) {
    let (state, progress) = (t.state().unwrap(), *t.progress());
    let outcome = t.train_step(bad).unwrap();
    assert!(outcome.overflow, "{what}: loss {}", outcome.loss);
    assert_eq!(t.state().unwrap(), state, "{what}");
    assert_eq!(t.progress().updates, progress.updates, "{what}");
    assert_eq!(t.progress().step, progress.step + 1, "{what}");
    let scale = progress.loss_scale.get();
    assert_eq!(
        t.progress().loss_scale.get(),
        (scale / 2.0).max(1.0),
        "{what}"
    );
}

/// Replaces the weights: every element of the tensor `name` is `value`, with alternating signs when `mixed`.
fn fill(t: &mut Trainer, values: &[(&str, f32, bool)]) {
    let weights: Vec<Vec<f32>> = t
        .weights()
        .unwrap()
        .into_iter()
        .map(|(name, _, old)| match values.iter().find(|v| v.0 == name) {
            Some(&(_, value, mixed)) => (0..old.len())
                .map(|i| if mixed && i % 2 == 1 { -value } else { value })
                .collect(),
            None => old,
        })
        .collect();
    t.set_weights(&weights).unwrap();
}

#[test]
fn whatever_becomes_infinite_the_step_is_skipped() {
    let last = "4.weight";
    for (target, numerics) in policies() {
        for plan in [PlanKind::Split, PlanKind::Fused] {
            let what = |case: &str| format!("{case}, {}, {target}, {numerics:?}", plan.name());
            let mut t = trainer(target, &numerics, plan);
            assert!(!t.train_step(&batch(0.5)).unwrap().overflow);
            let good = t.weights().unwrap();
            assert!(
                good.iter().any(|(name, ..)| name == last),
                "{:?}",
                good.iter().map(|w| &w.0).collect::<Vec<_>>()
            );
            is_skipped(&mut t, &batch(60_000.0), &what("large inputs"));
            fill(&mut t, &[("0.weight", 60_000.0, false)]);
            is_skipped(&mut t, &batch(60.0), &what("an infinite hidden layer"));
            let good: Vec<Vec<f32>> = good.into_iter().map(|w| w.2).collect();
            t.set_weights(&good).unwrap();
            for mixed in [false, true] {
                let large = [("0.weight", 1.0, false), ("2.weight", 1.0, false)];
                fill(&mut t, &large);
                fill(&mut t, &[(last, 60_000.0, mixed)]);
                is_skipped(&mut t, &batch(1.0), &what("infinite logits"));
            }
            t.set_weights(&good).unwrap();
            assert!(!t.train_step(&batch(0.5)).unwrap().overflow);
        }
    }
}

#[test]
fn gradients_that_leave_fp16_in_the_updates_units_are_seen() {
    for (target, numerics) in policies() {
        for (plan, fits) in [(PlanKind::Split, true), (PlanKind::Fused, false)] {
            let mut t = trainer(target, &numerics, plan);
            t.set_loss_scale(LossScale::starting_at(1));
            // Hidden values near 6,400 and logits of zero: gradients of the last layer near 640, all others zero.
            fill(
                &mut t,
                &[
                    ("0.weight", 100.0, false),
                    ("2.weight", 0.1, false),
                    ("4.weight", 0.0, false),
                ],
            );
            let what = format!("{}, {target}, {numerics:?}", plan.name());
            if fits {
                assert!(!t.train_step(&batch(1.0)).unwrap().overflow, "{what}");
            } else {
                is_skipped(&mut t, &batch(1.0), &what);
            }
        }
    }
}
