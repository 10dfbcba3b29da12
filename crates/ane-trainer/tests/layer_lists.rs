//! Models that are lists of layers in TOML, and what is shown of models.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use std::{fs, path::Path};

/// A residual network for small images.
const RESIDUAL: &str = r#"
[[layers]]
type = "Conv2d"
name = "stem"
out_channels = 8
kernel_size = 3
padding = 1

[[layers]]
type = "Residual"
layers = [
  { type = "Conv2d", out_channels = 16, kernel_size = 3, stride = 2, padding = 1, bias = false },
  { type = "BatchNorm2d" },
  { type = "ReLU" },
]
shortcut = [{ type = "Conv2d", out_channels = 16, kernel_size = 1, stride = 2 }]

[[layers]]
type = "Flatten"

[[layers]]
type = "Linear"
"#;

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_list_of_layers_trains_and_the_run_needs_its_file_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let net = write(dir.path(), "net.toml", RESIDUAL);
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    let said = says(&[
        "train",
        &net,
        "--dataset",
        "digits",
        "--epochs",
        "2",
        "--out",
        out,
    ]);
    assert!(said.contains("1.shortcut.0"), "{said}");
    fs::remove_file(&net).unwrap();
    says(&["train", "--resume", out, "--epochs", "3"]);
    says(&["eval", out]);
    says(&["export", out, "--format", "safetensors"]);
    let shown = says(&["summary", out]);
    // 8 · 9 + 8, 16 · 8 · 9, 2 · 16, 16 · 8 + 16, 10 · 16 · 4 · 4 + 10
    let parameters = 80 + 1152 + 32 + 144 + 2570;
    let grouped = format!("{},{:03} parameters", parameters / 1000, parameters % 1000);
    assert!(shown.contains(&grouped), "{grouped}: {shown}");
}

#[test]
fn a_file_of_settings_may_hold_the_layers() {
    let dir = tempfile::tempdir().unwrap();
    let layers = RESIDUAL.replace("[[layers]]", "[[model.layers]]");
    let text = format!("[data]\ndataset = \"digits\"\n[training]\nepochs = 1\n{layers}");
    let config = write(dir.path(), "run.toml", &text);
    let run = dir.path().join("run");
    let said = says(&["train", "--config", &config, "--out", run.to_str().unwrap()]);
    assert!(said.contains("stem"), "{said}");
    assert!(run.join("model/layers.toml").is_file());
}

#[test]
fn what_is_wrong_with_a_list_is_said_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    for (text, said) in [
        (
            "[[layers]]\ntype = \"Conv9\"\n",
            "line 2, layer 0 (from 0): unknown variant `Conv9`",
        ),
        (
            "[[layers]]\ntype = \"Linear\"\nout = 3\n",
            "unknown field `out`",
        ),
        ("layers = 3\n", "there are no [[layers]]"),
        ("[[layers]\n", "line 1"),
    ] {
        let net = write(dir.path(), "net.toml", text);
        fails(&["summary", &net, "--dataset", "digits"], 2, &[said]);
    }
    let net = write(
        dir.path(),
        "net.toml",
        "[[layers]]\ntype = \"Flatten\"\n[[layers]]\ntype = \"Linear\"\nout_features = 3\n",
    );
    fails(
        &["summary", &net, "--dataset", "digits"],
        2,
        &["[128, 3]", "[128, 10]"],
    );
}

#[test]
fn a_summary_has_a_line_a_layer_or_less() {
    let shown = says(&["summary", "lenet", "--freeze", "conv1*"]);
    assert!(shown.contains("156 frozen"), "{shown}");
    assert!(
        shown.contains("61,706 parameters, 61,550 of them trained"),
        "{shown}"
    );
    let outermost = says(&["summary", "resnet20", "--depth", "1"]);
    assert!(!outermost.contains("layer1."), "{outermost}");
    for line in shown.lines().chain(outermost.lines()) {
        assert!(line.len() <= 80 || line.starts_with("memory"), "{line}");
    }
}
