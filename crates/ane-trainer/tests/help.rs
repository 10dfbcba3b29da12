//! What helps with the program itself: explanations, completions, the manual.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use std::fs;

#[test]
fn codes_are_explained_and_shells_are_served() {
    let all = says(&["explain"]);
    for line in all.lines() {
        let (code, title) = line.split_once("  ").unwrap();
        assert!(says(&["explain", code]).starts_with(&format!("{code}: {title}")));
    }
    fails(&["explain", "E9999"], 2, &["E9999", "ane-trainer explain"]);
    fails(&["train", "--dataset", "minst"], 2, &["E0101"]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = says(&["completions", shell]);
        assert!(script.contains("summary"), "{shell}: {script}");
    }
    let train = says(&["train", "--help"]);
    for metric in ane_train::metric::ALL {
        assert!(train.contains(metric.name()), "{}", metric.name());
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    says(&["man", "--out", out]);
    for page in [
        "ane-trainer.1",
        "ane-trainer-train.1",
        "ane-trainer-runs-compare.1",
    ] {
        let page = fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(page.contains(".TH"), "{page}");
    }
}
