//! The training step of MNIST, on a fixed synthetic batch.

use super::{Row, Subject};
use crate::{
    Trainer, TrainerConfig, TrainerError,
    data::{Batch, IMAGE, LABEL, Values},
    loss::Loss,
    models::Mlp,
    objective::Objective,
    optim::OptimizerConfig,
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use ane_device::{Device, DeviceError};
use ane_engine::{Pool, simd::Isa};
use half::f16;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The model that `train` has by default.
const MODEL: &str = "784-512-512-10";
/// Its batch.
const BATCH: usize = 128;
/// Largest relative distance of a loss.
const LOSS: f64 = 0.01;
/// Largest relative distance of all updates together, by their Euclidean norms. Updates of AdamW keep the sign of a
/// gradient and little else at first, so gradients near zero differ wholly from engine to engine, and count.
const UPDATE: f64 = 0.1;

pub(super) fn run(name: &str, plan: PlanKind, subject: &Subject) -> Result<Row, DeviceError> {
    let steps = subject.steps.max(1);
    let tolerance = format!("loss {LOSS}, update {UPDATE} of its size");
    let mut row = Row::new(name, steps as usize, tolerance);
    let device = subject.open()?;
    let reference = subject.reference(&*device)?;
    let pool = match &subject.settings.pool {
        Some(pool) => pool.clone(),
        None => Arc::new(Pool::new(1).map_err(DeviceError::Threads)?),
    };
    let host_isa = if subject.is_software() {
        Isa::Portable
    } else {
        subject.settings.isa
    };
    let found = match train(plan, device, &pool, subject.settings.isa, steps) {
        Ok(found) => found,
        Err(e) => {
            match &e {
                TrainerError::Illegal { violations, .. } => {
                    let rules: Vec<&str> = violations.iter().map(|v| v.rule).collect();
                    row.refused.push(format!("rule {}", rules.join(", ")));
                }
                _ => row.problems.push(e.to_string()),
            }
            return Ok(row.settle(Vec::new()));
        }
    };
    let expected = match train(plan, reference, &pool, host_isa, steps) {
        Ok(expected) => expected,
        Err(e) => {
            row.problems.push(format!("the software engine: {e}"));
            return Ok(row.settle(Vec::new()));
        }
    };
    row.ran = steps as usize;
    for (i, (got, want)) in found.losses.iter().zip(&expected.losses).enumerate() {
        let (got, want) = (f64::from(*got), f64::from(*want));
        let near = (got - want).abs() <= LOSS * want.abs();
        if !near {
            row.problems
                .push(format!("step {i}: the loss is {got}, expected {want}"));
        }
    }
    if found.overflows != expected.overflows {
        row.problems.push(format!(
            "{} steps overflowed, expected {}",
            found.overflows, expected.overflows
        ));
    }
    let (mut off, mut size) = (0.0, 0.0);
    for ((got, want), start) in found
        .weights
        .iter()
        .zip(&expected.weights)
        .zip(&expected.start)
    {
        let distance = f64::from(got - want);
        row.max_abs = row.max_abs.max(distance.abs());
        off += distance * distance;
        size += f64::from(want - start).powi(2);
    }
    if size == 0.0 {
        row.problems
            .push("the software engine learned nothing, so nothing was compared".into());
    }
    let relative = (off / size.max(f64::MIN_POSITIVE)).sqrt();
    if relative.is_nan() || relative > UPDATE {
        row.problems.push(format!(
            "the weights moved by {relative:.3} of the update's size elsewhere"
        ));
    }
    Ok(row.settle(found.latencies))
}

struct Trained {
    losses: Vec<f32>,
    overflows: u64,
    start: Vec<f32>,
    weights: Vec<f32>,
    latencies: Vec<Duration>,
}

fn train(
    plan: PlanKind,
    device: Box<dyn Device>,
    pool: &Arc<Pool>,
    isa: Isa,
    steps: u64,
) -> Result<Trained, TrainerError> {
    let model: Mlp = MODEL.parse().expect("the model is written rightly");
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let config = TrainerConfig {
        model: model.model(BATCH).expect("a batch is not empty"),
        objective: Objective::of(loss, "logits", LABEL),
        metrics: Vec::new(),
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(Default::default()),
        lr: 1e-3,
        schedule: Schedule::COSINE,
        // Far from the end of the schedule, whose rate is near zero.
        total_steps: 1_000,
        max_norm: None,
        seed: 0,
    };
    let mut trainer = Trainer::new(config, device, pool.clone(), isa)?;
    let weights = |t: &Trainer| -> Result<Vec<f32>, TrainerError> {
        Ok(t.weights()?.into_iter().flat_map(|(_, _, w)| w).collect())
    };
    let mut trained = Trained {
        losses: Vec::new(),
        overflows: 0,
        start: weights(&trainer)?,
        weights: Vec::new(),
        latencies: Vec::new(),
    };
    let batch = [synthetic()];
    for _ in 0..steps {
        let since = Instant::now();
        let outcome = trainer.train_step(&batch)?;
        trained.latencies.push(since.elapsed());
        trained.losses.push(outcome.loss);
        trained.overflows += u64::from(outcome.overflow);
    }
    trained.weights = weights(&trainer)?;
    Ok(trained)
}

/// A batch in the shape of MNIST's: each class is a pattern of its own with noise, dark for the most part as digits are.
fn synthetic() -> Batch {
    let bits = |x: f32| f16::from_f32(x).to_bits();
    let mut state = 1_u32;
    let mut noise = move || {
        // The constants are those of Numerical Recipes.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for example in 0..BATCH {
        let class = example % 10;
        for pixel in 0..784 {
            let ink = pixel % 10 == class || (pixel / 28 + class) % 7 == 0;
            let light = if ink { 0.5 + noise() / 2.0 } else { 0.0 };
            // As MNIST is normalised.
            x.push(bits((light - 0.1307) / 0.3081));
        }
        labels.push(class as i32);
    }
    let mut batch = Batch::new(BATCH, BATCH);
    batch.set(IMAGE, Values::Fp16(x));
    batch.set(LABEL, Values::Int32(labels));
    batch
}
