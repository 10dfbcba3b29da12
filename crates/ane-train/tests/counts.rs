//! One compile a purpose and one dispatch a step, counted by the device, in both plans and on every device that computes.

#![allow(clippy::unwrap_used)]

use ane_device::{AppleOptions, Counts, Settings, open};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Chip, Numerics, Route, Target};
use ane_train::{
    Trainer, TrainerConfig,
    checkpoint::EpochSums,
    data::{Batch, Dataset, Images, LABEL, Sampler, Split, Values},
    fit::{Control, Ending, Examples, Fit},
    loss::Loss,
    machine::Machine,
    metric::Accuracy,
    models::Mlp,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    run_dir::RunDir,
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use std::{path::Path, sync::Arc};

const BATCH: usize = 16;
const LOSS: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};

/// Sixty images that are nothing in particular, of ten classes.
fn dataset() -> Arc<Images> {
    let (examples, pixels) = (60, 64);
    Arc::new(Images {
        name: "sixty",
        split: Split::Train,
        class_names: &[],
        classes: 10,
        example_shape: [1, 8, 8],
        example_len: pixels,
        images: (0..examples * pixels)
            .map(|i| (i * 73 % 251) as u8)
            .collect(),
        labels: (0..examples).map(|i| (i % 10) as u8).collect(),
        mean: 0.5,
        std: 0.25,
    })
}

/// A trainer on `device`, which keeps its files in `programs`.
fn trainer(device: &str, plan: PlanKind, programs: &Path) -> Trainer {
    let pool = Arc::new(Pool::new(2).unwrap());
    let target = Target::new(Chip::H16, Route::E5rt);
    let settings = Settings {
        target,
        numerics: Numerics::of(&target),
        pool: Some(pool.clone()),
        apple: AppleOptions {
            espresso: espresso_standin::library_path().unwrap(),
            programs: programs.to_owned(),
            ..AppleOptions::default()
        },
        ..Settings::default()
    };
    let config = TrainerConfig {
        model: "64-32-10".parse::<Mlp>().unwrap().model(BATCH).unwrap(),
        objective: Objective::of(LOSS, "logits", LABEL),
        metrics: vec![&Accuracy],
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        lr: 1e-3,
        schedule: Schedule::Constant,
        total_steps: 100,
        max_norm: None,
        seed: 0,
    };
    let device = open(device, &settings).unwrap();
    Trainer::new(config, device, pool, settings.isa).unwrap()
}

/// Every device that computes with every plan.
fn everywhere(mut test: impl FnMut(Trainer, &str)) {
    let programs = tempfile::tempdir().unwrap();
    for device in ["apple", "software"] {
        for plan in [PlanKind::Split, PlanKind::Fused] {
            let name = format!("{} plan on {device}", plan.name());
            test(trainer(device, plan, programs.path()), &name);
        }
    }
}

fn counts(compiles: u64, dispatches: u64) -> Counts {
    Counts {
        compiles,
        dispatches,
    }
}

fn batch() -> [Batch; 1] {
    let mut batch = Batch::new(BATCH, 3);
    dataset()
        .fill(&[(3, 0), (1, 0), (4, 0)], &mut batch)
        .unwrap();
    [batch]
}

#[test]
fn a_step_is_one_dispatch_and_so_is_the_evaluation_of_a_batch() {
    let batch = batch();
    everywhere(|mut trainer, name| {
        assert_eq!(trainer.device().counts(), counts(1, 0), "{name}");
        for step in 1..=7 {
            trainer.train_step(&batch).unwrap();
            assert_eq!(trainer.device().counts(), counts(1, step), "{name}");
        }
        // The inference program is another purpose, compiled when it is first wanted.
        trainer.evaluate(&batch[0]).unwrap();
        trainer.evaluate(&batch[0]).unwrap();
        trainer.train_step(&batch).unwrap();
        assert_eq!(trainer.device().counts(), counts(2, 10), "{name}");
    });
}

#[test]
fn a_skipped_step_and_a_restored_state_cost_no_dispatch_of_their_own() {
    let batch = batch();
    everywhere(|mut trainer, name| {
        let (progress, state) = (*trainer.progress(), trainer.state().unwrap());
        let mut bad = batch.clone();
        // fp16 60,000: its products overflow.
        bad[0].set("x", Values::Fp16(vec![0x7B53; BATCH * 64]));
        assert!(trainer.train_step(&bad).unwrap().overflow, "{name}");
        trainer.restore(progress, &state).unwrap();
        trainer.weights().unwrap();
        trainer.train_step(&batch).unwrap();
        assert_eq!(trainer.device().counts(), counts(1, 2), "{name}");
    });
}

#[test]
fn a_run_dispatches_its_steps_and_its_evaluations_and_compiles_once_for_each() {
    // 50 examples are three batches and a partial one; ten of validation are another.
    let (train, validation): (Vec<u32>, Vec<u32>) = (0..60).partition(|i| i % 6 > 0);
    let (steps, evaluations) = (4, 1);
    // Steps 3, 6 and 9 write a checkpoint within an epoch, and evaluate a batch to know that it is worth it.
    let checkpoints = 3;
    everywhere(|trainer, name| {
        let dir = tempfile::tempdir().unwrap();
        let mut fit = Fit {
            trainer,
            data: dataset(),
            sampler: Sampler::new(train.clone(), BATCH, 0),
            validation: Some(Examples {
                data: dataset(),
                indices: validation.clone(),
            }),
            epochs: 3,
            max_steps: None,
            patience: None,
            deadline: None,
            run: RunDir::create(dir.path()).unwrap(),
            config: serde_json::Value::Null,
            description: None,
            weights_metadata: Default::default(),
            machine: Machine::this(Isa::detect()),
            position: (0, 0),
            sums: EpochSums::default(),
            best: None,
            checkpoint_every: Some(3),
            keep: 0,
            recovery: None,
        };
        let ending = fit.run(&Control::default(), &mut |_| {}).unwrap();
        assert_eq!(ending, Ending::Finished);
        assert_eq!(fit.trainer.progress().step, 3 * steps);
        assert_eq!(
            fit.trainer.device().counts(),
            counts(2, 3 * (steps + evaluations) + checkpoints),
            "{name}"
        );
    });
}
