//! `inspect` shows the program that a run executes, whole: its text is the graph, on every chip and in both plans.

#![allow(clippy::unwrap_used)]

use ane_ir::{Chip, Route, Target};
use ane_mil::{DirectoryBlobs, check, parse};
use ane_train::{
    legalize,
    loss::Loss,
    nn::Sequential,
    optim::{AdamW, OptimizerConfig},
    step::{PlanKind, StepConfig, TrainStep},
};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// What `inspect` prints about the step that the arguments describe.
fn inspect(arguments: &[&str], out: Option<&Path>) -> String {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.arg("inspect").args(arguments).stdin(Stdio::null());
    if let Some(out) = out {
        c.arg("--out").arg(out);
    }
    let done = c.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

/// The default step, built here.
fn step(plan: PlanKind) -> TrainStep {
    let model: Sequential = "784-512-512-10".parse().unwrap();
    let optimizer = OptimizerConfig::AdamW(AdamW::default());
    TrainStep::build(&StepConfig {
        model: &model,
        loss: Loss::CrossEntropy {
            label_smoothing: 0.0,
        },
        batch: 128,
        plan,
        optimizer: optimizer.as_dyn(),
        max_norm: None,
    })
    .unwrap()
}

#[test]
fn the_printed_step_is_the_graph_and_legal_on_every_chip_in_both_plans() {
    let dir = tempfile::tempdir().unwrap();
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let step = step(plan);
        for chip in Chip::HARDWARE {
            let target = Target::new(chip, Route::E5rt);
            let name = target.to_string();
            let arguments = ["--plan", plan.name(), "--target", &name];
            let place = format!("{} plan on {name}", plan.name());
            let printed = inspect(&arguments, None);
            let out = dir.path().join(format!("{}-{name}", plan.name()));
            inspect(&arguments, Some(&out));
            let written = std::fs::read_to_string(out.join("model.mil")).unwrap();
            assert!(printed.ends_with(&written), "{place}");
            // The lines before the program are comments, so that all that is printed is MIL.
            let module = parse(&printed, &DirectoryBlobs::new(&out))
                .unwrap_or_else(|e| panic!("{place}: {}", e.excerpt()));
            let [function] = &module.functions[..] else {
                panic!("{place}: {} functions", module.functions.len());
            };
            let expected = legalize(&step.graph, &target).unwrap();
            assert!(function.graph.same_as(expected.graph()), "{place}");
            assert!(check(function.graph.clone(), &target).is_ok(), "{place}");
            let line = format!("{name} over e5rt: legal");
            assert!(printed.contains(&line), "{place} does not say `{line}`");
        }
    }
}
