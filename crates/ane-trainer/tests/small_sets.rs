//! Data sets of the catalog that a run divides itself.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use serde_json::Value;
use std::fs;

/// What `result.json` of a run says.
fn result(run: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap()
}

#[test]
fn classes_are_told_apart_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for (name, first_layer, classes) in [
        ("digits", "128x512", "0,1,2"),
        ("iris", "16x512", "setosa,versicolor,virginica"),
        ("wine", "32x512", "class_0,class_1,class_2"),
        ("breast-cancer", "64x512", "malignant,benign"),
    ] {
        let run = dir.path().join(name);
        let out = run.to_str().unwrap();
        let own = ["train", "--dataset", name, "--epochs", "15", "--seed", "1"];
        let said = says(&[&own[..], &["--out", out]].concat());
        let accuracy = result(&run)["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.85, "{name}: {accuracy}");
        // The table shows each class by its name.
        let judged = says(&["eval", out]);
        for class in classes.split(',') {
            assert!(judged.contains(class), "{name}, {class}: {judged}");
        }
        let config = fs::read_to_string(run.join("config.json")).unwrap();
        assert!(
            config.contains(&format!("\"dataset\": \"{name}\"")),
            "{config}"
        );
        // Every run shows the layers of its model before it begins.
        assert!(said.contains(first_layer), "{said}");
        let data = says(&["data", "verify", name]);
        assert!(data.contains("verified"), "{data}");
    }
}

#[test]
fn prices_are_learned_and_a_run_of_them_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| dir.path().join(name));
    let train = |run: &std::path::Path, more: &[&str]| {
        let own = [
            "train",
            "--dataset",
            "diamonds",
            "--log-target",
            "--model",
            "26-16-1",
            "--batch",
            "512",
            "--epochs",
            "2",
            "--out",
        ];
        says(&[&own[..], &[run.to_str().unwrap()], more].concat())
    };
    train(&whole, &[]);
    let rmse = result(&whole)["rmse"].as_f64().unwrap();
    // It is 1 where nothing is learned.
    assert!(rmse < 0.5, "{rmse}");
    train(&cut, &["--max-time", "0.000001s"]);
    says(&["train", "--resume", cut.to_str().unwrap()]);
    let last = |run: &std::path::Path| fs::read(run.join("checkpoints/last.ckpt")).unwrap();
    assert!(last(&whole) == last(&cut));
}

#[test]
fn what_belongs_to_tables_is_refused_for_images_that_are_divided() {
    fails(
        &["train", "--dataset", "mnist", "--log-target"],
        2,
        &["--log-target", "mnist"],
    );
}
