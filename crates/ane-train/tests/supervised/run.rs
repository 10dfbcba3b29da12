//! A small run on a device, and the same run under planned faults.

#![allow(clippy::unwrap_used)]

use ane_device::{Device, Settings, Supervised, Supervision};
use ane_engine::{Pool, simd::Isa};
use ane_standin::{Faults, PlannedFault};
use ane_train::{
    Trainer, TrainerConfig, TrainerError,
    checkpoint::{Checkpoint, EpochSums},
    data::{Images, LABEL, Sampler, Split, sampler},
    fit::{self, Control, Ending, Examples, Fit},
    loss::Loss,
    metric::Accuracy,
    models::Mlp,
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    recovery::{self, Recovery},
    run_dir::RunDir,
    schedule::Schedule,
    step::PlanKind,
    update::Groups,
};
use std::{path::Path, sync::Arc};

pub(crate) const LOSS: Loss = Loss::CrossEntropy {
    label_smoothing: 0.0,
};
pub(crate) const EXAMPLES: usize = 96;
pub(crate) const BATCH: usize = 8;
pub(crate) const EPOCHS: u64 = 3;

/// Noise with a class in it.
pub(crate) fn data() -> Arc<Images> {
    let images = (0..EXAMPLES * 12).map(|i| (i * 89 % 251 + i / 12 % 3) as u8);
    Arc::new(Images {
        name: "tiny",
        split: Split::Train,
        class_names: &["a", "b", "c"],
        classes: 3,
        example_shape: [1, 3, 4],
        example_len: 12,
        images: images.collect(),
        labels: (0..EXAMPLES).map(|i| (i % 3) as u8).collect(),
        mean: 0.5,
        std: 0.25,
    })
}

pub(crate) fn trainer(device: Box<dyn Device>, plan: PlanKind) -> Result<Trainer, TrainerError> {
    let config = TrainerConfig {
        model: "12-9-3".parse::<Mlp>().unwrap().model(BATCH).unwrap(),
        objective: Objective::of(LOSS, "logits", LABEL),
        metrics: vec![&Accuracy],
        units: Vec::new(),
        ema: None,
        groups: Groups::default(),
        lowerings: Vec::new(),
        accumulate: 1,
        plan,
        optimizer: OptimizerConfig::AdamW(AdamW::default()),
        lr: 1e-2,
        schedule: Schedule::COSINE,
        total_steps: 1000,
        max_norm: Some(1.0),
        seed: 3,
    };
    Trainer::new(
        config,
        device,
        Arc::new(Pool::new(1).unwrap()),
        Isa::detect(),
    )
}

pub(crate) fn run_of(
    device: Box<dyn Device>,
    plan: PlanKind,
    out: &Path,
    recovery: Option<Recovery>,
) -> Fit {
    let (train, validation) = sampler::split(EXAMPLES, 16, 3);
    Fit {
        trainer: trainer(device, plan).unwrap(),
        data: data(),
        sampler: Sampler::new(train, BATCH, 3),
        validation: Some(Examples {
            data: data(),
            indices: validation,
        }),
        epochs: EPOCHS,
        max_steps: None,
        patience: None,
        deadline: None,
        run: RunDir::create(out).unwrap(),
        config: serde_json::json!({"plan": plan.name()}),
        description: None,
        weights_metadata: Default::default(),
        position: (0, 0),
        sums: EpochSums::default(),
        best: None,
        checkpoint_every: Some(7),
        keep: 0,
        recovery,
        machine: ane_train::machine::Machine::this(Isa::detect()),
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        pool: Some(Arc::new(Pool::new(1).unwrap())),
        ..Settings::default()
    }
}

pub(crate) fn plain() -> Box<dyn Device> {
    ane_device::open("software", &settings()).unwrap()
}

/// What a run leaves: checkpoints, weights, metrics, and the result of a last evaluation.
pub(crate) type Results = (Vec<Vec<u8>>, fit::Evaluation);

pub(crate) fn finish(mut fit: Fit, report: &mut dyn FnMut(&fit::Event)) -> Results {
    let ending = fit.run(&Control::default(), report).unwrap();
    assert_eq!(ending, Ending::Finished);
    let mut faults = recovery::Faults::new(fit.recovery);
    let best = Checkpoint::read(&fit.run.checkpoint("best")).unwrap();
    faults
        .restore(&mut fit.trainer, best.record.progress, &best.state)
        .unwrap();
    let everything = Examples::all(fit.data.clone());
    let test = fit::evaluate(&mut fit.trainer, &everything, &mut faults).unwrap();
    let files = [
        fit.run.checkpoint("last"),
        fit.run.checkpoint("best"),
        fit.run.weights("last"),
        fit.run.weights("best"),
        fit.run.metrics(),
        fit.run.table(),
        fit.run.steps(),
    ];
    (files.map(|f| std::fs::read(f).unwrap()).to_vec(), test)
}

pub(crate) fn undisturbed(plan: PlanKind) -> Results {
    let dir = tempfile::tempdir().unwrap();
    finish(run_of(plain(), plan, dir.path(), None), &mut |_| {})
}

pub(crate) fn plan_of(dir: &Path, lines: &[String]) {
    for line in lines {
        line.parse::<PlannedFault>().unwrap();
    }
    std::fs::write(dir.join("plan"), lines.join("\n")).unwrap();
}

pub(crate) fn fired(dir: &Path) -> Vec<PlannedFault> {
    Faults::directory(dir).unwrap().fired().unwrap()
}

pub(crate) const OFTEN: Recovery = Recovery {
    snapshot_every: 4,
    most_faults: 5,
};

/// A whole run under a plan of faults.
pub(crate) fn disturbed(
    plan: PlanKind,
    lines: &[String],
    supervision: Supervision,
    dir: &Path,
) -> Results {
    plan_of(dir, lines);
    let device = Supervised::open("software", &settings(), supervision).unwrap();
    let fit = run_of(Box::new(device), plan, &dir.join("run"), Some(OFTEN));
    finish(fit, &mut |_| {})
}
