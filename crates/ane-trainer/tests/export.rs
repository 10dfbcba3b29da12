//! What a run has learned as files of PyTorch and Keras, and what is said when a run has no such file.
//!
//! What a Python with Keras does is played by a shell script; that the frameworks load the files is tested in Python.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/pretended_python.rs"]
mod pretended_python;
#[path = "support/program.rs"]
mod program;

use pretended_python::{Keras, model_in, pretended};
use program::{fails, says};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The directory of a run of three steps.
fn run(dir: &Path, model: &str, flags: &[&str]) -> String {
    let out = dir.join("run").to_str().unwrap().to_owned();
    let all = [
        "train",
        model,
        "--epochs",
        "1",
        "--max-steps",
        "3",
        "--device",
        "software",
        "--out",
        &out,
    ];
    says(&[&all[..], flags].concat());
    out
}

/// Names and bytes of the tensors of a file.
fn tensors(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = file
        .iter()
        .map(|(name, t)| (name.to_owned(), t.data().to_vec()))
        .collect();
    all.sort();
    all
}

#[test]
fn safetensors_are_the_weights_of_the_best_checkpoint_of_either_plan() {
    for plan in ["split", "fused"] {
        let dir = tempfile::tempdir().unwrap();
        let out = run(dir.path(), "784-8-10", &["--plan", plan]);
        let file = Path::new(&out).join("model.safetensors");
        let told = says(&["export", &out, "--format", "safetensors"]);
        for part in [
            "model.safetensors: 4 tensors",
            "best.ckpt",
            "inputs: (pixel / 255 - mean) / std",
            "std 0.3081",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let beside = Path::new(&out).join("checkpoints/best.safetensors");
        assert_eq!(tensors(&file), tensors(&beside));
        // A file that is there stays, unless that is asked for.
        fs::write(&file, "mine").unwrap();
        fails(
            &["export", &out, "--format", "safetensors"],
            2,
            &["there already", "--force"],
        );
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        says(&["export", &out, "--format", "safetensors", "--force"]);
        let last = Path::new(&out).join("checkpoints/last.ckpt");
        let other = dir.path().join("last.safetensors");
        let names = [last.to_str().unwrap(), other.to_str().unwrap()];
        says(&[
            "export",
            names[0],
            "--format",
            "safetensors",
            "--output",
            names[1],
        ]);
        assert_eq!(
            tensors(&other),
            tensors(&last.with_extension("safetensors"))
        );
    }
}

#[test]
fn a_state_dict_comes_whole_with_what_no_step_reads() {
    let dir = tempfile::tempdir().unwrap();
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../ane-import/tests/pytorch/digits.pt2");
    let out = run(dir.path(), model.to_str().unwrap(), &["--batch", "500"]);
    says(&["export", &out, "--format", "safetensors"]);
    let found = tensors(&Path::new(&out).join("model.safetensors"));
    assert_eq!(
        found,
        tensors(&Path::new(&out).join("checkpoints/best.safetensors"))
    );
    assert!(
        found
            .iter()
            .any(|(name, _)| name == "bn.num_batches_tracked")
    );
}

#[test]
fn a_keras_file_is_what_keras_makes_of_the_runs_configuration_and_weights() {
    let keras = Keras::new();
    let dir = keras.dir.path();
    let python = keras.compiled(Value::Null);
    let python = ["--python", python.to_str().unwrap()];
    let out = run(dir, &model_in(dir, "net.py:build"), &python);
    // A Python that makes a file of what it is given, or says that it does not.
    let saves = r#"cat "$to/request.json" "$to/weights.safetensors" > "$to/model.keras""#;
    let plays = |answer: Value| {
        let script =
            format!(r#"to=$(dirname "$2"); {saves}; printf '%s' '{answer}' > "$to/result.json""#);
        pretended(dir, &script);
    };
    plays(json!({"ok": true, "framework": "keras", "version": "3"}));
    let told = says(&[&["export", &out, "--format", "keras"], &python[..]].concat());
    assert!(told.contains("model.keras: 2 tensors"), "{told}");
    let file = fs::read(Path::new(&out).join("model.keras")).unwrap();
    let mut parts = serde_json::Deserializer::from_slice(&file).into_iter::<Value>();
    let request = parts.next().unwrap().unwrap();
    let config = Path::new(&out).join("model/config.json");
    assert_eq!(
        (&request["do"], &request["config"]),
        (&json!("save"), &json!(config))
    );
    let beside = fs::read(Path::new(&out).join("checkpoints/best.safetensors")).unwrap();
    assert!(file.ends_with(&beside));

    let other = dir.join("other.keras");
    let other = ["--output", other.to_str().unwrap()];
    let again = |run: &str, more: &[&str], code, parts: &[&str]| {
        let all = ["export", run, "--format", "keras"];
        fails(&[&all[..], &python, more].concat(), code, parts);
    };
    plays(json!({"ok": false, "error": {"kind": "weights", "message": "too few", "where": ""}}));
    again(&out, &other, 1, &["too few", "another checkpoint"]);
    assert!(!dir.join("other.keras").exists());
    again(&out, &["--output", "x.h5"], 2, &["x.h5", ".keras"]);
    let of_ours = tempfile::tempdir().unwrap();
    let of_ours = run(of_ours.path(), "784-8-10", &[]);
    again(
        &of_ours,
        &[],
        2,
        &["784-8-10", "no model of Keras", "--format safetensors"],
    );
    again("none", &[], 1, &["none"]);
}
