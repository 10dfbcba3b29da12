//! Training through the stand-in for AppleNeuralEngine ends with the bits of training on the software device.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use std::{
    collections::BTreeSet,
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
const MLP: &[&str] = &["--model", "784-24-10", "--batch", "500", "--epochs", "2"];

/// A convolutional network. The last of the faults meet its evaluation, which has 157 batches.
const LENET: &[&str] = &[
    "--model",
    "lenet",
    "--batch",
    "64",
    "--max-steps",
    "40",
    "--validation",
    "128",
];

fn train(
    model: &[&str],
    device: &str,
    route: &str,
    plan: &str,
    out: &Path,
    temporary: &Path,
) -> Vec<Vec<u8>> {
    // Without faults unless the test has planned some.
    let faults = temporary.with_file_name("faults");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    if device == "apple" && faults.is_dir() {
        command.env("ANE_STANDIN_FAULTS", faults);
        command.args(["train", "--supervised", "true", "--deadline", "2"]);
        command.args(["--verify-every", "1"]);
    } else {
        command.arg("train");
    }
    let done = command
        .args(model)
        .args(["--seed", "3", "--threads", "2"])
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
            train(MLP, device, route, plan, &out, &temporary)
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

/// Every kind of fault, and every event that suffers some, in an order in which each is met on both routes: a device
/// that starts again compiles and loads once, and again when what it loads is refused or damaged. Compilations and loads
/// that hang have a test of their own, since their deadline is ten times that of an execution.
const FAULTS: [&str; 15] = [
    "compile 1 fail",
    "execute 5 fail",
    "compile 3 crash",
    "compile 4 leak",
    "load 2 fail",
    "load 3 crash",
    "execute 40 crash",
    "load 5 corrupt",
    "execute 77 geometry",
    "load 7 leak",
    "execute 110 unwritten",
    "execute 141 corrupt",
    "execute 170 hang",
    "execute 171 crash",
    "execute 200 leak",
];

/// The results of a run in a directory of its own within `dir`, which has suffered the faults of `planned` and no others.
fn run(
    model: &[&str],
    device: &str,
    route: &str,
    plan: &str,
    dir: &Path,
    planned: &[&str],
) -> Vec<Vec<u8>> {
    let root = dir.join(format!("{device}-{route}"));
    let (temporary, faults) = (root.join("temporary"), root.join("faults"));
    std::fs::create_dir_all(&temporary).unwrap();
    if planned.is_empty() {
        return train(model, device, route, plan, &root.join("run"), &temporary);
    }
    std::fs::create_dir(&faults).unwrap();
    std::fs::write(faults.join("plan"), planned.join("\n")).unwrap();
    let results = train(model, device, route, plan, &root.join("run"), &temporary);
    let fired = std::fs::read_to_string(faults.join("fired")).unwrap();
    let fired: BTreeSet<&str> = fired.lines().collect();
    let planned: BTreeSet<&str> = planned.iter().copied().collect();
    assert_eq!(fired, planned, "{plan} {route}");
    results
}

/// A worker that crashes, hangs, refuses, leaves outputs as they were and gets them wrong is replaced, on both routes.
#[test]
fn faults_of_every_kind_change_no_bit() {
    survives(MLP);
}

#[test]
fn faults_of_every_kind_change_no_bit_of_a_convolutional_network() {
    survives(LENET);
}

fn survives(model: &[&str]) {
    // A run unloads its program once, at its end.
    let mut unloads = ["fail", "crash", "hang", "leak"].into_iter();
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let expected = run(model, "software", "client", plan, dir.path(), &[]);
        for route in ["client", "memory"] {
            let unload = format!("unload 1 {}", unloads.next().unwrap());
            let planned: Vec<&str> = FAULTS.into_iter().chain([&*unload]).collect();
            let found = run(model, "apple", route, plan, dir.path(), &planned);
            assert!(found == expected, "{plan} {route}");
        }
    }
}

#[test]
fn compilations_and_loads_that_hang_change_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    let expected = run(MLP, "software", "client", "fused", dir.path(), &[]);
    // The second load is that of the device that starts again after the crash.
    let planned = ["compile 1 hang", "execute 20 crash", "load 2 hang"];
    // Both wait at the same time for deadlines to pass.
    std::thread::scope(|s| {
        for route in ["client", "memory"] {
            let (dir, expected) = (dir.path(), &expected);
            s.spawn(move || {
                let found = run(MLP, "apple", route, "fused", dir, &planned);
                assert!(found == *expected, "{route}");
            });
        }
    });
}
