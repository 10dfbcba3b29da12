//! Models in files: runs of `.pt2` files from end to end, and what is said when a model file or its Python is no good.
//!
//! A Python with PyTorch is not asked for here: what a Python does is played by shell scripts. The exporter itself is
//! tested in Python.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use safetensors::SafeTensors;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn ane_trainer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .env_remove("ANE_TRAINER_ISA")
        .env_remove("VIRTUAL_ENV")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn says(arguments: &[&str]) -> String {
    let done = ane_trainer(arguments);
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let done = ane_trainer(arguments);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(!told.contains("panicked"), "{told}");
    for part in parts {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
}

fn digits() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../ane-import/tests/pytorch/digits.pt2");
    path.to_str().unwrap().to_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_pt2_file_trains_goes_on_and_is_evaluated_without_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("digits.pt2");
    fs::copy(digits(), &copy).unwrap();
    let model = copy.to_str().unwrap();
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    let step = [
        "--batch",
        "500",
        "--lr",
        "0.01",
        "--device",
        "software",
        "--threads",
        "2",
    ];
    let both = ["--epochs", "1", "--max-steps", "60", "--out", out];
    says(&[&["train", model], &step[..], &both].concat());
    let result = read(&run.join("result.json"));
    assert!(result["accuracy"].as_f64().unwrap() > 0.75, "{result}");
    // What a run needs of its model is its own.
    fs::remove_file(&copy).unwrap();
    let printed = says(&["eval", out, "--json", "--threads", "1"]);
    let evaluated: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(evaluated, result);
    let listed = says(&["inspect", out]);
    assert!(listed.contains("conv("), "{listed}");
    says(&["train", "--resume", out]);

    let bytes = fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let names: BTreeSet<&str> = tensors.names().into_iter().collect();
    let keys = [
        "bn.bias",
        "bn.num_batches_tracked",
        "bn.running_mean",
        "bn.running_var",
        "bn.weight",
        "conv.weight",
        "head.bias",
        "head.weight",
    ];
    assert_eq!(names, BTreeSet::from(keys));
    let moved = tensors.tensor("bn.running_mean").unwrap();
    assert!(moved.data().iter().any(|&b| b != 0));

    // A checkpoint that has left its run has no graphs.
    let alone = dir.path().join("alone.ckpt");
    fs::copy(run.join("checkpoints/last.ckpt"), &alone).unwrap();
    fails(
        &["eval", alone.to_str().unwrap()],
        1,
        &["outside of its run directory"],
    );
    fs::remove_dir_all(run.join("model")).unwrap();
    fails(&["eval", out], 1, &["train.pt2` is missing"]);
}

#[test]
fn the_positional_model_and_the_flag_are_one() {
    let model = digits();
    let shown = says(&["train", &model, "--dry-run", "--batch", "32"]);
    assert_eq!(
        shown,
        says(&["train", "--model", &model, "--dry-run", "--batch", "32"])
    );
    assert!(shown.contains("digits.pt2"), "{shown}");
    let widths = says(&["train", "784-16-10", "--dry-run"]);
    assert!(widths.contains("784-16-10"), "{widths}");
    fails(
        &["train", &model, "--model", "mlp"],
        2,
        &["cannot be used with"],
    );
}

#[test]
fn files_that_are_no_models_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.pt2");
    fs::write(&text, "no zip").unwrap();
    fails(
        &["train", text.to_str().unwrap(), "--dry-run"],
        1,
        &["text.pt2", "no .pt2 file", "torch.export.save"],
    );
    fails(&["train", "none.pt2", "--dry-run"], 1, &["none.pt2"]);
    fails(&["train", "none.keras", "--dry-run"], 2, &["none.keras"]);
    fails(
        &["train", &digits(), "--dataset", "cifar10", "--dry-run"],
        2,
        &["3×32×32"],
    );
}

/// A program that stands for a Python.
fn pretended(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A Python that answers this.
fn that_answers(dir: &Path, answer: &str) -> PathBuf {
    let answer = answer.replace('\'', "");
    pretended(
        dir,
        &format!("echo noise; printf '%s' '{answer}' > \"$(dirname \"$2\")/result.json\""),
    )
}

#[test]
fn what_the_exporter_refuses_has_a_place_a_help_and_a_code() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |kind: &str| {
        format!(
            r#"{{"ok": false, "error": {{"kind": "{kind}", "message": "what it is", "where": "net.py:7"}}}}"#
        )
    };
    for (kind, code, help) in [
        ("arguments", 2, "as literals"),
        ("no_name", 2, "name a class"),
        ("no_torch", 1, "--python"),
        ("raised", 1, "run the file"),
        ("shape", 1, "forward pass"),
        ("what nobody knows", 1, "another way"),
    ] {
        let python = that_answers(dir.path(), &refusal(kind));
        fails(
            &[
                "train",
                "net.py:Net",
                "--dry-run",
                "--python",
                python.to_str().unwrap(),
            ],
            code,
            &["net.py:7: what it is", help, "noise"],
        );
    }
    for answer in ["", "{", r#"{"ok": true}"#] {
        let python = that_answers(dir.path(), answer);
        fails(
            &[
                "train",
                "net.py:Net",
                "--dry-run",
                "--python",
                python.to_str().unwrap(),
            ],
            1,
            &["without a word"],
        );
    }
    let none = dir.path().join("none");
    fails(
        &["train", "net.py:Net", "--python", none.to_str().unwrap()],
        1,
        &["cannot run the Python", "--python"],
    );
}

#[test]
fn a_model_file_that_does_not_end_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let python = pretended(dir.path(), "exec tail -f /dev/null");
    let since = Instant::now();
    fails(
        &[
            "train",
            "net.py:Net",
            "--model-deadline",
            "1",
            "--python",
            python.to_str().unwrap(),
        ],
        1,
        &["within 1 s", "--model-deadline"],
    );
    assert!(since.elapsed() < Duration::from_secs(30));
}
