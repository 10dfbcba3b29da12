//! A run compiles once for training and once for evaluation, and dispatches its steps and evaluations, as its report says and as the engine itself counted.

#![allow(clippy::unwrap_used)]

use ane_train::memory::amount;
use std::{
    path::Path,
    process::{Command, Stdio},
};

const BATCH: u64 = 2000;
/// 55,000 images to train on.
const STEPS: u64 = 28;
/// 5,000 images of validation, and 10,000 of the test.
const EVALUATIONS: u64 = 3 + 5;

/// What a run said, and its report on what ran where.
struct Run {
    said: String,
    report: serde_json::Value,
}

/// Trains for an epoch with an evaluation behind it, after a dry run that foresees the memory.
fn train(out: &Path, device: &str, plan: &str, faults: &Path) -> Run {
    let program = || command(out, device, plan, faults);
    let dry = program().arg("--dry-run").output().unwrap();
    assert!(dry.status.success() && !out.exists(), "{plan} on {device}");
    let done = program().output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{plan} on {device}: {told}");
    let said = [dry.stdout, done.stdout].concat();
    let report = std::fs::read(out.join("placement.json")).unwrap();
    Run {
        said: String::from_utf8(said).unwrap(),
        report: serde_json::from_slice(&report).unwrap(),
    }
}

fn command(out: &Path, device: &str, plan: &str, faults: &Path) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    c.args(["train", "--model", "784-24-10", "--epochs", "1"])
        .args(["--batch", &BATCH.to_string(), "--target", "h16"])
        .args(["--device", device, "--plan", plan])
        .arg("--out")
        .arg(out)
        .env(
            "ANE_TRAINER_ESPRESSO",
            espresso_standin::library_path().unwrap(),
        )
        .env("ANE_TRAINER_PROGRAMS", out.with_extension("programs"))
        .env("ANE_STANDIN_FAULTS", faults)
        .stdin(Stdio::null());
    c
}

#[test]
fn a_run_compiles_once_a_purpose_and_dispatches_every_step_once_in_both_plans() {
    let dir = tempfile::tempdir().unwrap();
    for device in ["apple", "software"] {
        for plan in ["split", "fused"] {
            let place = format!("{plan} plan on {device}");
            let faults = dir.path().join(format!("{device}-{plan}-faults"));
            std::fs::create_dir(&faults).unwrap();
            let out = dir.path().join(format!("{device}-{plan}"));
            let Run { said, report } = train(&out, device, plan, &faults);
            let peak = report["peak_bytes"].as_u64().unwrap();
            let line = format!("memory: {} at the peak of a step", amount(peak));
            assert_eq!(
                said.matches(&line).count(),
                2,
                "{place}: `{line}` in {said}"
            );
            assert_eq!(report["compiles"], 2, "{place}");
            assert_eq!(report["train_steps"], STEPS, "{place}");
            assert_eq!(report["dispatches"], STEPS + EVALUATIONS, "{place}");
            // The stand-in has counted, what the dry run compiled among it.
            let counted = std::fs::read_to_string(faults.join("counts")).unwrap_or_default();
            let of = |event: &str| {
                counted
                    .lines()
                    .filter_map(|line| line.split_once(' '))
                    .find(|(name, _)| *name == event)
                    .map(|(_, number)| number.parse::<u64>().unwrap())
            };
            let expected = (device == "apple").then_some((2 + 2, STEPS + EVALUATIONS));
            assert_eq!(of("compile").zip(of("execute")), expected, "{place}");
        }
    }
}
