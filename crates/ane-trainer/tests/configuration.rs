//! What `train` is told and cannot do is wrong usage, said before any data is fetched, with both sides and what to do.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// The words of a refusal.
fn refused(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["train", "--dry-run", "--device", "software"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{arguments:?}: {told}");
    // Lines are broken to the width of the terminal.
    told.split_whitespace()
        .filter(|word| !matches!(*word, "│" | "×" | "╰─▶"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn what_cannot_be_trained_is_refused_with_advice() {
    for (arguments, parts) in [
        (
            &["--freeze", "*"][..],
            &["nothing of model", "all of its 6 parameters are frozen"][..],
        ),
        (
            &["--freeze", "conv1.*"],
            &[
                "`conv1.*` names no parameter",
                "0.weight",
                "* stands for any",
            ],
        ),
        (
            &["--group-lr", "conv1.*=0.1"],
            &["`conv1.*` names no parameter", "0.weight"],
        ),
        (
            &["--group-lr", "0.*"],
            &["expected parameters and a factor, such as fc3.*=0.1"],
        ),
        (&["--group-lr", "0.*=-1"], &["expected a number above 0"]),
        (
            &["--plan", "fused", "--group-lr", "0.*=0.1"],
            &["cannot have parameter groups", "--plan split"],
        ),
        (
            &["--huber-delta", "2"],
            &["the loss is cross-entropy", "--loss huber"],
        ),
        (
            &["--metric", "acuracy"],
            &["no metric is called `acuracy`", "accuracy", "--metric"],
        ),
        (
            &["--validation", "60000"],
            &["60000 training examples", "0 to train on", "--validation"],
        ),
        (
            &["--validation", "59990"],
            &[
                "a batch of 128",
                "the 10 training examples",
                "--batch 10 or less",
            ],
        ),
        (
            &["--plan", "fused", "--grad-accumulation", "4"],
            &["cannot accumulate gradients", "--plan split"],
        ),
        (
            &["--plan", "fused", "--no-decay", "bias"],
            &["cannot have parameter groups", "--plan split"],
        ),
    ] {
        let told = refused(arguments);
        for part in parts {
            assert!(
                told.contains(part),
                "{arguments:?} does not say `{part}`: {told}"
            );
        }
    }
}

#[test]
fn groups_and_the_distance_of_a_loss_are_part_of_the_configuration() {
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["train", "--dry-run", "--device", "software"])
        .args([
            "--model",
            "autoencoder",
            "--loss",
            "huber",
            "--huber-delta",
            "0.5",
        ])
        .args(["--no-decay", "bias", "--group-lr", "encoder*=0.1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let (config, _) = said.split_once("\na step: ").unwrap();
    let config: serde_json::Value = serde_json::from_str(config).unwrap();
    let groups = serde_json::json!([
        {"parameters": "bias", "weight_decay": 0.0},
        {"parameters": "encoder*", "lr": 0.1},
    ]);
    assert_eq!(config["groups"], groups);
    assert_eq!(
        config["loss"],
        serde_json::json!({"kind": "huber", "delta": 0.5})
    );
}

#[test]
fn a_share_outside_of_0_to_1_is_no_validation_split() {
    let told = refused(&["--validation", "1.5"]);
    assert!(
        told.contains("neither a number of examples nor a share"),
        "{told}"
    );
}
