//! Lowerings that are asked for train as those that the table takes, or are refused by layer and reason.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_device::open;
use ane_engine::{Pool, simd::Isa};
use ane_train::{
    Trainer, TrainerError,
    config::RunConfig,
    data::{Batch, IMAGE, LABEL, Values},
    lowering::LoweringError,
    models::Examples,
    stage::Stage,
    step::StepError,
};
use half::f16;
use std::sync::{Arc, LazyLock};

static DIGITS: LazyLock<Examples> = LazyLock::new(|| Examples::images([1, 28, 28], 10));
const BATCH: usize = 4;

/// Pixels and classes that follow from their places.
fn batch() -> Batch {
    let pixel = |i: usize| f16::from_f32(((i * 37) % 101) as f32 / 50.0).to_bits();
    let mut batch = Batch::new(BATCH, BATCH);
    let pixels = (0..BATCH * DIGITS.values()).map(pixel).collect();
    batch.set(IMAGE, Values::Fp16(pixels));
    batch.set(LABEL, Values::Int32((0..BATCH as i32).collect()));
    batch
}

fn trainer(model: &str, target: &str, lowerings: &[&str]) -> Result<Trainer, TrainerError> {
    let pool = Arc::new(Pool::new(2).unwrap());
    let config = RunConfig {
        model: model.to_owned(),
        batch: BATCH,
        target: target.parse().unwrap(),
        lowerings: lowerings.iter().map(|l| l.parse().unwrap()).collect(),
        ..RunConfig::default()
    };
    let device = open("software", &config.settings(&pool, Isa::detect())).unwrap();
    let trainer = config.trainer(&DIGITS, 2).unwrap();
    Trainer::new(trainer, device, pool, Isa::detect())
}

/// Losses of two steps and of an evaluation after them.
fn losses(model: &str, target: &str, lowerings: &[&str]) -> Result<[f32; 3], TrainerError> {
    let mut trainer = trainer(model, target, lowerings)?;
    assert_eq!(trainer.stages().stages, [Stage::Engine(0)]);
    let batches = [batch()];
    Ok([
        trainer.train_step(&batches)?.loss,
        trainer.train_step(&batches)?.loss,
        trainer.evaluate(&batches[0])?.loss,
    ])
}

#[test]
fn every_lowering_trains_to_the_same_losses() {
    for (model, lowerings) in [
        ("lenet", &["im2col"][..]),
        ("lenet", &["conv1=im2col"]),
        ("mobilenet-tiny", &["*depthwise*=im2col"]),
        (
            "mobilenet-tiny",
            &["*pointwise*=im2col", "*depthwise*=shift"],
        ),
    ] {
        for target in ["software", "h13", "h16"] {
            let table = losses(model, target, &[]).unwrap();
            let asked = losses(model, target, lowerings).unwrap();
            for (table, asked) in table.into_iter().zip(asked) {
                let off = (table - asked).abs() / table.abs();
                assert!(
                    off < 5e-3,
                    "{model} {lowerings:?} on {target}: {table} {asked}"
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_layer_and_reason() {
    for (model, target, lowering, expected) in [
        (
            "lenet",
            "h13",
            "matmul",
            "the convolution at `conv1` cannot become matmul on h13: \
             one product wants windows of one element, side by side",
        ),
        (
            "lenet",
            "h16",
            "conv2=native",
            "the convolution at `conv2` cannot become native on h16: \
             weights that are not constant crash the compiler from two images on",
        ),
        (
            "lenet",
            "h13",
            "conv3=im2col",
            "`conv3=im2col` names no layer with a convolution; there are: conv1, conv2",
        ),
        (
            "mlp",
            "h13",
            "im2col",
            "`im2col` names no layer with a convolution; there are: ",
        ),
    ] {
        let refused = trainer(model, target, &[lowering]).unwrap_err();
        assert_eq!(refused.to_string(), expected);
        let TrainerError::Step(StepError::Lowering(error)) = refused else {
            panic!("{refused}");
        };
        let names_nothing = expected.contains("names no layer");
        assert_eq!(
            matches!(error, LoweringError::NamesNothing { .. }),
            names_nothing
        );
    }
}
