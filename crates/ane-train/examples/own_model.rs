//! A model of one's own: a small convolutional network, written with layers, and a few steps of training it on stripes.
//!
//! ```sh
//! cargo run --release -p ane-train --example own_model
//! ```

use ane_device::{Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_train::{
    Trainer, TrainerConfig,
    data::{Batch, IMAGE, LABEL},
    loss::Loss,
    metric::Accuracy,
    model::{Input, Model, ModelError},
    nn::{Activation::Relu, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d},
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use half::f16;
use std::{error::Error, sync::Arc};

const BATCH: usize = 32;
const SIDE: usize = 12;

/// Stripes lie down or stand up.
fn stripes() -> Result<Model, ModelError> {
    let inputs = [Input::fp16(IMAGE, [1, SIDE, SIDE])];
    Model::build("stripes", BATCH, &inputs, |cx, x| {
        let x = cx.layer("conv", Conv2d::new(1, 8, 3).padding(1), x[0])?;
        let x = cx.layer("norm", BatchNorm2d::new(8), x)?;
        let x = cx.layer("relu", Relu, x)?;
        let x = cx.layer("pool", MaxPool2d::new(2), x)?;
        let x = cx.layer("flatten", Flatten, x)?;
        let x = cx.layer("dropout", Dropout::new(0.1), x)?;
        let features = cx.shape(x).last();
        Ok([("logits", cx.layer("fc", Linear::new(features, 2), x)?)])
    })
}

/// Images of one stripe each, at a place and in a direction that are functions of the step.
fn batch(step: usize) -> Batch {
    let mut batch = Batch::new(BATCH, BATCH);
    for (row, label) in batch.int32(LABEL, 1).iter_mut().enumerate() {
        *label = i32::from((step * 7 + row * 5).is_multiple_of(3));
    }
    let image = |row: usize| (step * 11 + row * 3) % SIDE;
    let pixels = batch.fp16(IMAGE, SIDE * SIDE);
    for (row, pixels) in pixels.chunks_exact_mut(SIDE * SIDE).enumerate() {
        let stands = (step * 7 + row * 5).is_multiple_of(3);
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let at = if stands { i % SIDE } else { i / SIDE };
            *pixel = f16::from_f32(if at == image(row) { 1.0 } else { 0.0 }).to_bits();
        }
    }
    batch
}

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Arc::new(Pool::new(2)?);
    let settings = Settings {
        pool: Some(pool.clone()),
        ..Settings::default()
    };
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let config = TrainerConfig {
        model: stripes()?,
        objective: Objective::of(loss, "logits", LABEL),
        metrics: vec![&Accuracy],
        units: Vec::new(),
        ema: None,
        plan: PlanKind::Split,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        groups: Groups::default(),
        lowerings: Vec::new(),
        lr: 2e-3,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        accumulate: 1,
        seed: 0,
    };
    let device = open("software", &settings)?;
    let mut trainer = Trainer::new(config, device, pool, Isa::detect())?;
    for step in 0..100 {
        let outcome = trainer.train_step(&[batch(step)])?;
        if step % 20 == 0 {
            println!("step {step}: loss {:.4}", outcome.loss);
        }
    }
    let evaluated = trainer.evaluate(&batch(1000))?;
    println!("after training: loss {:.4}", evaluated.loss);
    Ok(())
}
