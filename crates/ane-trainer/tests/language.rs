//! Language models, from a text to a text that is said.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A line that goes on as it always does.
fn poem(lines: usize) -> String {
    "one and two again, then ten.\n".repeat(lines)
}

fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A small model of the poem.
fn train<'a>(text: &'a str, run: &'a str, more: &[&'a str]) -> String {
    let base = [
        "train",
        "--data",
        text,
        "--context",
        "16",
        "--batch",
        "8",
        "--lr",
        "3e-3",
        "--out",
        run,
    ];
    says(&[&base[..], more].concat())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn generated(arguments: &[&str]) -> Value {
    serde_json::from_str(&says(&[&["generate"], arguments, &["--json"]].concat())).unwrap()
}

#[test]
fn a_text_is_learned_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let text = write(&dir, "poem.txt", poem(400));
    let run = dir.path().join("run");
    let run_text = run.to_str().unwrap();
    let said = train(&text, run_text, &["--max-steps", "60"]);
    assert!(said.contains("char-gpt on poem.txt"), "{said}");
    let config = json(&run.join("config.json"));
    assert_eq!(config["optimizer"]["weight_decay"], 0.1);
    assert_eq!(config["max_norm"], 1.0);
    let judged = says(&["eval", run_text, "--data", &text]);
    assert!(judged.contains("perplexity"), "{judged}");
    // The likeliest tokens repeat the word that a line begins with.
    let greedy = generated(&[
        run_text,
        "--prompt",
        "one and ",
        "--temperature",
        "0",
        "--stop",
        ".",
        "-n",
        "40",
    ]);
    assert_eq!(greedy["text"], "two again, then ten", "{greedy}");
    assert_eq!(
        (&greedy["stopped"], &greedy["prompt_tokens"]),
        (&"stop-text".into(), &8.into())
    );
    // Chance is the seed's, and the context of 16 is gone beyond.
    let of_seed = |seed: &str| {
        let found = generated(&[
            run_text,
            "--prompt",
            "ten",
            "--seed",
            seed,
            "-n",
            "60",
            "--temperature",
            "2",
        ]);
        assert_eq!(
            (&found["tokens"], &found["stopped"]),
            (&60.into(), &"max-tokens".into())
        );
        found["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(of_seed("1"), of_seed("1"));
    assert_ne!(of_seed("1"), of_seed("2"));
    // On standard output the prompt stands before what is said.
    let shown = says(&[
        "generate",
        run_text,
        "--prompt",
        "one and ",
        "-n",
        "5",
        "--temperature",
        "0",
    ]);
    assert_eq!(shown, "one and two a\n");
}

#[test]
fn a_language_model_goes_on_with_the_same_bits_and_elsewhere_than_on_software() {
    let dir = tempfile::tempdir().unwrap();
    let text = write(&dir, "poem.txt", poem(300));
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (whole, cut, chip) = (path("whole"), path("cut"), path("chip"));
    // Epochs of 72 steps.
    let epochs = |n: &'static str| ["--epochs", n, "--schedule", "constant"];
    train(&text, &whole, &epochs("2"));
    train(&text, &cut, &epochs("1"));
    says(&["train", "--resume", &cut, "--epochs", "2"]);
    let weights =
        |run: &str| fs::read(Path::new(run).join("checkpoints/last.safetensors")).unwrap();
    assert_eq!(weights(&whole), weights(&cut));
    // A chip cannot look rows up: the host does, and the loss is the same to what fp16 holds.
    train(
        &text,
        &chip,
        &[&epochs("2")[..], &["--target", "h13"]].concat(),
    );
    let loss = |run: &str| {
        let lines = fs::read_to_string(Path::new(run).join("metrics.jsonl")).unwrap();
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        first["train_loss"].as_f64().unwrap()
    };
    let (software, chip) = (loss(&whole), loss(&chip));
    assert!(
        (software - chip).abs() < 0.01 * software,
        "{software} {chip}"
    );
}

/// Windows of three bytes cut characters of two.
#[test]
fn a_byte_takes_what_a_token_does_where_tokens_are_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let text = write(
        &dir,
        "accents.txt",
        "\u{e9}t\u{e9} \u{e0} \u{ea}tre\n".repeat(200),
    );
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    says(&[
        "train",
        "--data",
        &text,
        "--tokenizer",
        "byte",
        "--context",
        "3",
        "--max-steps",
        "2",
        "--out",
        run,
    ]);
    let judged: Value = serde_json::from_str(&says(&["eval", run, "--json"])).unwrap();
    let number = |field: &str| judged[field].as_f64().unwrap();
    let of_token = number("loss") / std::f64::consts::LN_2;
    let ratio = number("bits_per_byte") / of_token;
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
}

#[test]
fn what_is_no_text_or_none_of_the_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = write(&dir, "poem.txt", poem(100));
    let empty = write(&dir, "empty.txt", "");
    let binary = write(&dir, "binary.txt", b"abc\0def");
    let latin = write(&dir, "latin.txt", b"caf\xe9 caf\xe9 caf\xe9");
    let short = write(&dir, "short.txt", "too short");
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    train(&text, run, &["--max-steps", "2"]);
    let train = |data, more: &[&str], code, part| {
        fails(&[&["train", "--data", data], more].concat(), code, &[part]);
    };
    train(&empty, &[], 1, "is empty");
    train(&binary, &[], 1, "binary.txt");
    train(&latin, &[], 1, "latin.txt");
    train(&short, &[], 2, "tokens make no example");
    train(
        &text,
        &["--tokenizer", "words"],
        1,
        "`words` is no tokenizer",
    );
    train(&text, &["--model", "lenet", "--batch", "8"], 2, "lenet");
    train(&text, &["--label", "x"], 2, "--label is for");
    for (arguments, code, part) in [
        (
            &["train", "--dataset", "mnist", "--context", "8"][..],
            2,
            "--context is for texts",
        ),
        (
            &["train", "--model", "char-gpt", "--dataset", "mnist"],
            2,
            "learns the next token of a text",
        ),
        (
            &["generate", run, "--prompt", "\u{fc}nknown"],
            1,
            "the tokenizer has no '\u{fc}'",
        ),
        (
            &["generate", run, "--prompt", "one and one again, then one."],
            2,
            "the model sees 16 at a time",
        ),
        (&["generate", run, "--prompt", ""], 2, "the prompt is empty"),
        (&["predict", run, &text], 2, "ane-trainer generate"),
    ] {
        fails(arguments, code, &[part]);
    }
}
