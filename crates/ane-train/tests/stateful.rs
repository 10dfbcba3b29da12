//! What a step keeps besides weights, and what it draws: running statistics, dropout, and resuming with both.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::Value;
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, Values, share_divisor},
    loss::Loss,
    model::{BufferForm, Builder, Init, Input, Mode, Model, ModelError, StatisticKind},
    nn::Linear,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use half::f16;
use std::sync::Arc;

const BATCH: usize = 8;
const MOMENTUM: f64 = 0.1;

/// Takes the mean of the batch off, in inference the running one, and drops half of what is left.
fn forward(cx: &mut Builder, x: &[Value]) -> Result<[(&'static str, Value); 1], ModelError> {
    let h = cx.scope("centre", |cx| {
        let running = cx.buffer("running_mean", [4], Init::Constant(0.0))?;
        let mean = match cx.mode() {
            Mode::Infer => cx.read(running, BufferForm::Plain)?,
            Mode::Train => {
                let mean = cx.graph().reduce_mean(x[0], &[0], false)?;
                cx.update(running, mean, StatisticKind::Mean, MOMENTUM, 1);
                mean
            }
        };
        Ok(cx.graph().sub(x[0], mean)?)
    })?;
    let h = cx.scope("drop", |cx| {
        if cx.mode() == Mode::Infer {
            return Ok(h);
        }
        let mask = cx.keep_mask([BATCH, 4], 0.5)?;
        Ok(cx.graph().mul(h, mask)?)
    })?;
    Ok([("y", cx.layer("fc", Linear::new(4, 2), h)?)])
}

fn trainer(plan: PlanKind, accumulate: usize) -> Trainer {
    averaging(plan, accumulate, None).unwrap()
}

/// A trainer that keeps a moving average with this decay.
fn averaging(
    plan: PlanKind,
    accumulate: usize,
    ema: Option<f64>,
) -> Result<Trainer, ane_train::TrainerError> {
    let pool = Arc::new(Pool::new(1).unwrap());
    let settings = Settings {
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let config = TrainerConfig {
        model: Model::build("stateful", BATCH, &[Input::fp16("x", [4])], forward).unwrap(),
        objective: Objective::of(Loss::Mse, "y", "t"),
        metrics: Vec::new(),
        units: Vec::new(),
        ema,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 1e-2,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        accumulate,
        seed: 5,
    };
    Trainer::new(
        config,
        open("software", &settings).unwrap(),
        pool,
        Isa::detect(),
    )
}

fn batch(from: usize) -> Batch {
    let bits = |x: f32| f16::from_f32(x).to_bits();
    let number = |i: usize| ((i * 29 + 7) % 65) as f32 / 32.0 - 0.5;
    let mut batch = Batch::new(BATCH, BATCH);
    let x = (0..BATCH * 4).map(|i| bits(number(from + i)));
    batch.set("x", Values::Fp16(x.collect()));
    let t = (0..BATCH * 2).map(|i| bits(number(from + 3 * i)));
    batch.set("t", Values::Fp16(t.collect()));
    batch
}

/// Means of the four columns.
fn means(batch: &Batch) -> Vec<f64> {
    let Some(Values::Fp16(x)) = batch.get("x") else {
        unreachable!()
    };
    let column = |c: usize| {
        let values = x.iter().skip(c).step_by(4);
        values
            .map(|&b| f64::from(f16::from_bits(b).to_f32()))
            .sum::<f64>()
            / BATCH as f64
    };
    (0..4).map(column).collect()
}

fn running(t: &Trainer) -> Vec<f32> {
    let all = t.weights().unwrap();
    let found = all.iter().find(|w| w.0 == "centre.running_mean");
    found.unwrap().2.clone()
}

#[test]
fn running_statistics_move_by_every_batch_and_not_by_a_skipped_step() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let mut t = trainer(plan, 1);
        let mut expected = vec![0.0; 4];
        for step in 0..5 {
            let b = batch(100 * step);
            t.train_step(std::slice::from_ref(&b)).unwrap();
            for (r, m) in expected.iter_mut().zip(means(&b)) {
                *r += MOMENTUM * (m - *r);
            }
            let found = running(&t);
            let near = |(f, e): (&f32, &f64)| (f64::from(*f) - e).abs() < 1e-3;
            assert!(
                found.iter().zip(&expected).all(near),
                "{found:?} {expected:?}"
            );
        }
        let before = t.state().unwrap();
        let mut bad = batch(0);
        bad.set(
            "x",
            Values::Fp16(vec![f16::from_f32(60_000.0).to_bits(); BATCH * 4]),
        );
        bad.set(
            "t",
            Values::Fp16(vec![f16::from_f32(-60_000.0).to_bits(); BATCH * 2]),
        );
        assert!(t.train_step(&[bad]).unwrap().overflow);
        assert_eq!(t.state().unwrap(), before);
    }
}

#[test]
fn an_update_of_several_batches_moves_running_statistics_once_for_each() {
    let mut t = trainer(PlanKind::Split, 2);
    let mut batches = [batch(0), batch(50)];
    share_divisor(&mut batches);
    t.train_step(&batches).unwrap();
    let [a, b] = [means(&batches[0]), means(&batches[1])];
    for (i, found) in running(&t).iter().enumerate() {
        let first = MOMENTUM * a[i];
        let expected = first + MOMENTUM * (b[i] - first);
        assert!((f64::from(*found) - expected).abs() < 1e-3);
    }
}

#[test]
fn inference_uses_the_running_statistics_of_now_and_drops_nothing() {
    let mut t = trainer(PlanKind::Split, 1);
    let b = batch(0);
    let first = t.predict(&b).unwrap();
    assert_eq!(first, t.predict(&b).unwrap());
    let weights: Vec<Vec<f32>> = t.weights().unwrap().into_iter().map(|w| w.2).collect();
    t.train_step(std::slice::from_ref(&b)).unwrap();
    t.set_weights(&weights).unwrap();
    // The weights are what they were, so what is different is the running mean.
    assert_ne!(first, t.predict(&b).unwrap());
}

#[test]
fn what_is_dropped_depends_on_the_step_and_a_resumed_run_has_the_same_bits() {
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let b = batch(0);
        let step = |t: &mut Trainer| t.train_step(std::slice::from_ref(&b)).unwrap().loss;
        let mut t = trainer(plan, 1);
        let (progress, state) = (*t.progress(), t.state().unwrap());
        let first = step(&mut t);
        t.restore(progress, &state).unwrap();
        assert_eq!(step(&mut t), first);
        let weights: Vec<Vec<f32>> = trainer(plan, 1)
            .weights()
            .unwrap()
            .into_iter()
            .map(|w| w.2)
            .collect();
        t.set_weights(&weights).unwrap();
        // The same weights and examples, but another step.
        assert_ne!(step(&mut t), first);
        for _ in 0..3 {
            step(&mut t);
        }
        let (progress, state) = (*t.progress(), t.state().unwrap());
        let straight: Vec<f32> = (0..4).map(|_| step(&mut t)).collect();
        let mut resumed = trainer(plan, 1);
        resumed.restore(progress, &state).unwrap();
        let again: Vec<f32> = (0..4).map(|_| step(&mut resumed)).collect();
        assert_eq!(straight, again, "{plan:?}");
        assert_eq!(t.state().unwrap(), resumed.state().unwrap(), "{plan:?}");
    }
}

/// Values of `fc.weight` in what is written as weights, or among the trained ones.
fn fc(t: &Trainer, trained: bool) -> Vec<f32> {
    if trained {
        let id = t
            .store()
            .find(ane_train::store::WEIGHT, "fc.weight")
            .unwrap();
        return t.store().read(id);
    }
    let all = t.weights().unwrap();
    all.into_iter().find(|w| w.0 == "fc.weight").unwrap().2
}

#[test]
fn a_moving_average_follows_the_weights_judges_and_goes_on_where_it_was() {
    const DECAY: f32 = 0.75;
    let mut t = averaging(PlanKind::Split, 1, Some(DECAY.into())).unwrap();
    let mut plain = trainer(PlanKind::Split, 1);
    assert_eq!(fc(&t, false), fc(&t, true));
    let mut wanted: Vec<f32> = Vec::new();
    for step in 0..6 {
        t.train_step(&[batch(step)]).unwrap();
        plain.train_step(&[batch(step)]).unwrap();
        let trained = fc(&t, true);
        // torch.optim.swa_utils: the first update is copied.
        wanted = match wanted.is_empty() {
            true => trained.clone(),
            false => {
                let pairs = wanted.iter().zip(&trained);
                pairs.map(|(a, w)| a + (1.0 - DECAY) * (w - a)).collect()
            }
        };
    }
    // It changes nothing of the training.
    assert_eq!(fc(&t, true), fc(&plain, true));
    assert_eq!(fc(&t, false), wanted);
    assert_ne!(fc(&t, false), fc(&t, true));
    let judged = batch(40);
    let of_trained = t.evaluate(&judged).unwrap().loss;
    let of_average = t.with_average(|t| t.evaluate(&judged)).unwrap().loss;
    assert_ne!(of_trained, of_average);
    assert_eq!(t.evaluate(&judged).unwrap().loss, of_trained);
    let mut resumed = averaging(PlanKind::Split, 1, Some(DECAY.into())).unwrap();
    resumed.restore(*t.progress(), &t.state().unwrap()).unwrap();
    for trainer in [&mut t, &mut resumed] {
        trainer.train_step(&[batch(9)]).unwrap();
    }
    assert_eq!(t.state().unwrap(), resumed.state().unwrap());
    resumed.take_average().unwrap();
    assert_eq!(resumed.evaluate(&judged).unwrap().loss, {
        t.with_average(|t| t.evaluate(&judged)).unwrap().loss
    });
    let refused = averaging(PlanKind::Fused, 1, Some(0.9)).unwrap_err();
    assert!(
        refused.to_string().contains("cannot average its weights"),
        "{refused}"
    );
}
