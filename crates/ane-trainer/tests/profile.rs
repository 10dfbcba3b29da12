//! Where the time of steps goes.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};

/// The shares that a table of ops shows, in percent, with what is said of the rest.
fn shares(said: &str) -> Vec<f64> {
    let of_line = |line: &str| {
        let (before, _) = line.split_once(" %")?;
        before.split_whitespace().last()?.parse().ok()
    };
    said.lines().filter_map(of_line).collect()
}

#[test]
fn ops_are_shown_by_layer_and_pass_and_make_up_the_whole() {
    let said = says(&[
        "profile",
        "lenet",
        "--batch",
        "16",
        "--steps",
        "2",
        "--threads",
        "1",
    ]);
    let head = said.lines().nth(1).unwrap();
    for part in ["a step:", "engine", "host", "data", "examples/s"] {
        assert!(head.contains(part), "{said}");
    }
    for (layer, pass, op) in [("conv2", "forward", "conv"), ("conv2", "backward", "conv")] {
        let is_it = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().take(3).collect();
            cells == [layer, pass, op]
        };
        assert!(said.lines().any(is_it), "{layer} {pass} {op}: {said}");
    }
    let whole: f64 = shares(&said).iter().sum();
    assert!((whole - 100.0).abs() < 1.0, "{whole}: {said}");
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
}

#[test]
fn a_run_is_profiled_with_its_own_weights_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    says(&["train", "--dataset", "iris", "--epochs", "1", "--out", out]);
    let last = || std::fs::read(run.join("checkpoints/last.ckpt")).unwrap();
    let before = last();
    let said = says(&["profile", out, "--steps", "2"]);
    assert!(said.contains("batch 16, 2 steps"), "{said}");
    assert!(before == last());
    fails(&["profile", "no-such-model"], 2, &["no-such-model"]);
}

#[test]
fn a_baseline_is_kept_and_compared_with_alike_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("baseline.json");
    let path = file.to_str().unwrap();
    let own = [
        "bench",
        "64-8-10",
        "--dataset",
        "digits",
        "--rounds",
        "3",
        "--steps",
        "2",
    ];
    let compared = [&own[..], &["--compare", path]].concat();
    let said = says(&[&own[..], &["--save-baseline", path]].concat());
    assert!(said.contains("ms a step"), "{said}");
    // Rounds that no later one can be slower than, and rounds that none can be faster than.
    let mut kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (ms, is_slower) in [(1e9, false), (1e-9, true)] {
        kept["ms"] = serde_json::json!([ms, ms, ms]);
        std::fs::write(&file, kept.to_string()).unwrap();
        match is_slower {
            false => assert!(says(&compared).contains("times as fast")),
            true => fails(&compared, 1, &["slower than the baseline"]),
        }
    }
    let other = [&["bench", "64-9-10"], &own[2..], &["--compare", path]].concat();
    fails(&other, 1, &["64-8-10", "64-9-10"]);
    std::fs::write(&file, "{}").unwrap();
    fails(&compared, 1, &["is no baseline"]);
}
