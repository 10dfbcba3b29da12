//! Models in files: runs of `.pt2` files and of Keras models from end to end, and what is said when a model file or its
//! Python is no good.
//!
//! A Python with PyTorch or Keras is not asked for here: what a Python does is played by shell scripts. The exporter
//! itself is tested in Python.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/pretended_python.rs"]
mod pretended_python;
#[path = "support/program.rs"]
mod program;

use pretended_python::{Keras, model_in, pretended};
use program::{fails, says};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

fn digits() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../ane-import/tests/pytorch/digits.pt2");
    path.to_str().unwrap().to_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What was evaluated is a result, and more.
fn must_include(evaluated: &Value, result: &Value) {
    for (name, value) in result.as_object().unwrap() {
        assert_eq!(&evaluated[name], value, "{name} of {evaluated}");
    }
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
    must_include(&evaluated, &result);
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
    fails(&["eval", out], 1, &["model is missing", "train.pt2"]);
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
    fails(
        &["train", &digits(), "--dataset", "cifar10", "--dry-run"],
        2,
        &["[3, 32, 32]"],
    );
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
    let model = model_in(dir.path(), "net.py:Net");
    let refusal = |kind: &str| {
        format!(
            r#"{{"ok": false, "error": {{"kind": "{kind}", "message": "what it is", "where": "net.py:7"}}}}"#
        )
    };
    for (kind, code, help) in [
        ("arguments", 2, "as literals"),
        ("no_name", 2, "name a class"),
        ("no_framework", 1, "--python"),
        ("no_model", 2, "keras.Model"),
        ("not_loaded", 1, "is not run"),
        ("not_built", 1, "keras.Input"),
        ("raised", 1, "run the file"),
        ("shape", 1, "forward pass"),
        ("what nobody knows", 1, "another way"),
    ] {
        let python = that_answers(dir.path(), &refusal(kind));
        fails(
            &[
                "train",
                &model,
                "--dry-run",
                "--python",
                python.to_str().unwrap(),
            ],
            code,
            &[
                "net.py:7: what it is",
                help,
                "noise",
                if code == 1 { "E0505" } else { "E0001" },
            ],
        );
    }
    for answer in ["", "{", r#"{"ok": true}"#] {
        let python = that_answers(dir.path(), answer);
        fails(
            &[
                "train",
                &model,
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
        &["train", &model, "--python", none.to_str().unwrap()],
        1,
        &["cannot run the Python", "--python"],
    );
}

#[test]
fn a_model_file_that_does_not_end_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let model = model_in(dir.path(), "net.py:Net");
    let python = pretended(dir.path(), "exec tail -f /dev/null");
    let since = Instant::now();
    fails(
        &[
            "train",
            &model,
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

/// Settings of `model.compile` with a learning rate.
fn compiled(loss: Value, learning_rate: Value) -> Value {
    let optimizer = json!({"module": "keras.optimizers", "class_name": "Adam",
        "config": {"learning_rate": learning_rate, "global_clipnorm": 5.0}});
    json!({"optimizer": optimizer, "loss": loss, "metrics": ["accuracy"]})
}

#[test]
fn a_keras_model_trains_goes_on_and_is_evaluated_without_its_file_and_its_python() {
    let keras = Keras::new();
    let loss = json!("sparse_categorical_crossentropy");
    let python = keras.compiled(compiled(loss, json!(0.01)));
    let run = keras.dir.path().join("run");
    let out = run.to_str().unwrap();
    let settings = ["--batch", "500", "--device", "software", "--threads", "2"];
    let python = ["--python", python.to_str().unwrap()];
    let both = ["--epochs", "1", "--max-steps", "60", "--out", out];
    let model = model_in(keras.dir.path(), "net.py:build");
    let told = says(&[&["train", &model], &settings[..], &python, &both].concat());
    for part in [
        "loss of the file: cross-entropy",
        "adam, learning rate 0.01, constant",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let config = read(&run.join("config.json"));
    assert_eq!(config["schedule"]["kind"], "constant");
    assert_eq!(config["max_norm"], 5.0);
    let result = read(&run.join("result.json"));
    assert!(result["accuracy"].as_f64().unwrap() > 0.75, "{result}");
    // What a run needs of its model is its own.
    fs::remove_file(keras.dir.path().join("python")).unwrap();
    let printed = says(&["eval", out, "--json", "--threads", "1"]);
    let evaluated: Value = serde_json::from_str(&printed).unwrap();
    must_include(&evaluated, &result);
    assert!(says(&["inspect", out]).contains("matmul("));
    says(&["train", "--resume", out]);
    let bytes = fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let names: BTreeSet<String> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(["0.d.kernel", "1.d.bias"].map(str::to_owned))
    );
}

#[test]
fn flags_are_above_what_a_keras_model_is_compiled_with() {
    let keras = Keras::new();
    let model = model_in(keras.dir.path(), "net.keras");
    let shown = |said: Value, flags: &[&str]| {
        let python = keras.compiled(said);
        let all = [
            "train",
            &model,
            "--dry-run",
            "--device",
            "software",
            "--python",
        ];
        let printed = says(&[&all[..], &[python.to_str().unwrap()], flags].concat());
        let from = printed.find('{').unwrap();
        let mut values = serde_json::Deserializer::from_str(&printed[from..]).into_iter::<Value>();
        values.next().unwrap().unwrap()
    };
    let loss = json!("sparse_categorical_crossentropy");
    let own = shown(compiled(loss.clone(), json!(0.25)), &[]);
    assert_eq!(
        (&own["optimizer"]["name"], &own["lr"]),
        (&json!("adam"), &json!(0.25))
    );
    let above = ["--optimizer", "sgd", "--loss", "mse"];
    let other = shown(
        compiled(
            json!({"class_name": "Mine", "module": "mine", "config": {}}),
            json!(0.25),
        ),
        &above,
    );
    assert_eq!(
        (&other["optimizer"]["name"], &other["loss"]["kind"]),
        (&json!("sgd"), &json!("mse"))
    );
    assert_eq!(other["max_norm"], Value::Null);
    let default = shown(Value::Null, &[]);
    assert_eq!(
        (&default["optimizer"]["name"], &default["loss"]["kind"]),
        (&json!("adamw"), &json!("cross_entropy"))
    );
    let cosine = json!({"module": "keras.optimizers.schedules", "class_name": "CosineDecay",
        "config": {"initial_learning_rate": 0.5, "decay_steps": 7, "alpha": 0.25}});
    let cosine = shown(compiled(loss, cosine), &["--max-steps", "7"]);
    assert_eq!(
        cosine["schedule"],
        json!({"kind": "cosine", "warmup": 0.0, "floor": 0.25})
    );
    assert_eq!(cosine["lr"], 0.5);
}

#[test]
fn images_are_given_as_a_keras_model_takes_them_or_it_is_said_that_they_are_not() {
    let keras = Keras::new();
    let python = keras.compiled(Value::Null);
    let model = model_in(keras.dir.path(), "net.keras");
    let all = [
        "train",
        &model,
        "--dry-run",
        "--python",
        python.to_str().unwrap(),
    ];
    for shape in [
        json!([null, 28, 28]),
        json!([null, 784]),
        json!([128, 1, 28, 28]),
    ] {
        keras.takes(shape, "linear");
        says(&all);
    }
    keras.takes(json!([null, 32, 32, 3]), "linear");
    fails(
        &all,
        1,
        &["[32, 32, 3]", "28 rows, 28 columns and 1 channels"],
    );
    keras.takes(json!([null, 28, 28, 1]), "sigmoid");
    fails(&all, 1, &["bce-with-logits or mse", "found cross-entropy"]);
    let logits = json!({"module": "keras.losses", "class_name": "SparseCategoricalCrossentropy",
        "config": {"from_logits": true}});
    keras.takes(json!([null, 28, 28, 1]), "softmax");
    keras.compiled(compiled(logits, json!(0.1)));
    fails(&all, 1, &["a softmax", "from_logits"]);
    let late = json!({"module": "keras.optimizers.schedules", "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 0.5, "decay_steps": 7, "decay_rate": 0.5}});
    keras.compiled(compiled(json!("sparse_categorical_crossentropy"), late));
    fails(&all, 2, &["ExponentialDecay", "--schedule"]);
}
