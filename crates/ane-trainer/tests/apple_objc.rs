//! Training through the stand-in for AppleNeuralEngine ends with the bits of training on the software device.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where cargo has put the stand-in, beside the tests.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.with_file_name("libneuralengine_standin.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

/// Two epochs of 110 steps each, with narrow rows in every place: 784, 24 and 10 elements are no whole lines.
fn train(device: &str, route: &str, plan: &str, out: &Path, temporary: &Path) -> Vec<Vec<u8>> {
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["train", "--model", "784-24-10", "--batch", "500"])
        .args(["--epochs", "2", "--seed", "3", "--threads", "2"])
        .args(["--target", "h16", "--route", route, "--device", device])
        // Tests run at the same time.
        .args(["--plan", plan, "--share-engine", "--out"])
        .arg(out)
        .env("ANE_TRAINER_NEURALENGINE", library())
        .env("ANE_TRAINER_IOSURFACE", library())
        .env("ANE_TRAINER_PROGRAMS", temporary.join("programs"))
        .env("ANE_TRAINER_LOCK", temporary.join("lock"))
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{device} {route} {plan}: {errors}");
    let is_silent = !errors.contains("cannot be taken");
    assert!(is_silent, "another route was taken: {errors}");
    [
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "metrics.jsonl",
    ]
    .iter()
    .map(|f| std::fs::read(out.join(f)).unwrap())
    .collect()
}

#[test]
fn both_plans_and_both_routes_have_the_bits_of_the_software_device() {
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    for plan in ["split", "fused"] {
        let run = |device: &str, route: &str| {
            let out = dir.path().join(format!("{device}-{route}-{plan}"));
            train(device, route, plan, &out, &temporary)
        };
        let expected = run("software", "client");
        for route in ["client", "memory"] {
            assert!(run("apple", route) == expected, "{plan} {route}");
        }
    }
    let left = std::fs::read_dir(temporary.join("programs")).unwrap();
    assert_eq!(left.count(), 0, "every program's directory goes with it");
    let left = std::fs::read_dir(&temporary).unwrap();
    let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
    assert_eq!(
        left,
        ["programs"],
        "nothing but the directory of programs is left"
    );
}
