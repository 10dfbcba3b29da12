//! A run compiles once for training and once for evaluation, and dispatches its steps and evaluations, as its report says and as the engine itself counted.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Stdio},
};

const BATCH: u64 = 2000;
/// 55,000 images to train on.
const STEPS: u64 = 28;
/// 5,000 images of validation, and 10,000 of the test.
const EVALUATIONS: u64 = 3 + 5;

/// Trains for an epoch with an evaluation behind it; gives the report on what ran where.
fn train(out: &Path, device: &str, plan: &str, faults: &Path) -> serde_json::Value {
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
    let done = c.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{plan} on {device}: {told}");
    serde_json::from_slice(&std::fs::read(out.join("placement.json")).unwrap()).unwrap()
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
            let report = train(&out, device, plan, &faults);
            assert_eq!(report["compiles"], 2, "{place}");
            assert_eq!(report["train_steps"], STEPS, "{place}");
            assert_eq!(report["dispatches"], STEPS + EVALUATIONS, "{place}");
            // The stand-in has counted too, for its own purposes.
            let counted = std::fs::read_to_string(faults.join("counts")).unwrap_or_default();
            let of = |event: &str| {
                counted
                    .lines()
                    .filter_map(|line| line.split_once(' '))
                    .find(|(name, _)| *name == event)
                    .map(|(_, number)| number.parse::<u64>().unwrap())
            };
            let expected = (device == "apple").then_some((2, STEPS + EVALUATIONS));
            assert_eq!(of("compile").zip(of("execute")), expected, "{place}");
        }
    }
}
