//! A run that is killed, of a model with batch norm and dropout, goes on with the same bits.

use super::{finish, plain, run::BATCH, run_of};
use ane_engine::{Pool, simd::Isa};
use ane_ir::Value;
use ane_train::{
    Trainer,
    checkpoint::Checkpoint,
    fit::{self, Control, Fit},
    model::{Builder, Input, Model, ModelError},
    nn::{Activation::Relu, BatchNorm2d, Conv2d, Dropout, Flatten, Linear},
    step::PlanKind,
};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

/// Names the directory of the run that this program is started for.
const RUN: &str = "ANE_TRAINER_TEST_KILLED_RUN";
/// Names its plan.
const PLAN: &str = "ANE_TRAINER_TEST_KILLED_PLAN";
const TEST: &str = "killed::batch_norm_and_dropout_go_on_with_the_same_bits";
/// Checkpoints are made after steps 7 and 14.
const KILLED_AFTER: usize = 17;
const READY: &str = "ready to be killed";

fn forward(cx: &mut Builder, x: &[Value]) -> Result<[(&'static str, Value); 1], ModelError> {
    let x = cx.layer("conv", Conv2d::new(1, 4, 3).padding(1), x[0])?;
    let x = cx.layer("bn", BatchNorm2d::new(4), x)?;
    let x = cx.layer("relu", Relu, x)?;
    let x = cx.layer("flatten", Flatten, x)?;
    let x = cx.layer("dropout", Dropout::new(0.5), x)?;
    Ok([("logits", cx.layer("fc", Linear::new(48, 3), x)?)])
}

/// The usual run, of this model.
fn run(plan: PlanKind, out: &Path) -> Fit {
    let model = Model::build("dropped", BATCH, &[Input::fp16("x", [1, 3, 4])], forward).unwrap();
    let mut fit = run_of(plain(), plan, out, None);
    let mut config = fit.trainer.config().clone();
    config.model = model;
    let pool = Arc::new(Pool::new(1).unwrap());
    fit.trainer = Trainer::new(config, plain(), pool, Isa::detect()).unwrap();
    fit
}

/// What the test starts as another process: it trains until it is killed.
fn run_until_killed(out: &Path) {
    let plan = match std::env::var(PLAN).unwrap().as_str() {
        "fused" => PlanKind::Fused,
        _ => PlanKind::Split,
    };
    let mut steps = 0;
    let told = run(plan, out).run(&Control::default(), &mut |event| {
        if matches!(event, fit::Event::Step { .. }) {
            steps += 1;
            if steps == KILLED_AFTER {
                println!("{READY}");
                // Nobody ever answers.
                std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            }
        }
    });
    panic!("nobody killed it: {told:?}");
}

#[test]
fn batch_norm_and_dropout_go_on_with_the_same_bits() {
    if let Some(out) = std::env::var_os(RUN) {
        run_until_killed(Path::new(&out));
    }
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        let (whole, out) = (dir.path().join("whole"), dir.path().join("killed"));
        let expected = finish(run(plan, &whole), &mut |_| {});
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env(RUN, &out)
            .env(PLAN, plan.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(READY)), "{plan:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        let mut fit = run(plan, &out);
        let saved = Checkpoint::read(&fit.run.checkpoint("last")).unwrap();
        assert_eq!(saved.record.progress.step, 14);
        fit.trainer
            .restore(saved.record.progress, &saved.state)
            .unwrap();
        fit.position = saved.record.position;
        fit.sums = saved.record.epoch_sums;
        fit.best = saved.record.best;
        fit.run.truncate_metrics(14).unwrap();
        assert!(finish(fit, &mut |_| {}) == expected, "{plan:?}");
    }
}
