//! What a run leaves for others to read, and `eval`, which finds the run's own result again.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_engine::simd::Isa;
use ane_train::checkpoint::Checkpoint;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// What the command prints.
fn ane_trainer(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .env_remove("ANE_TRAINER_ISA")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

/// A small run on the real data.
fn train(run: &Path, besides: &[&str]) {
    let step = ["--model", "784-16-10:gelu", "--batch", "1000"];
    let learning = ["--epochs", "2", "--lr", "0.01", "--seed", "5"];
    let engine = ["--device", "software", "--plan", "fused", "--threads", "2"];
    let out = ["--out", run.to_str().unwrap()];
    ane_trainer(&[&["train"], &step[..], &learning, &engine, &out, besides].concat());
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What was evaluated is a result, and more.
fn must_include(evaluated: &Value, result: &Value) {
    for (name, value) in result.as_object().unwrap() {
        assert_eq!(&evaluated[name], value, "{name} of {evaluated}");
    }
}

#[test]
fn eval_says_what_the_answers_are_worth() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    train(&run, &[]);
    let out = run.to_str().unwrap();
    let predictions = dir.path().join("predictions.csv");
    let written = predictions.to_str().unwrap();
    let printed = ane_trainer(&["eval", out, "--output", written]);
    for part in [
        "top 5: ",
        "precision",
        "mean",
        "answered as which",
        "expected calibration error",
    ] {
        assert!(printed.contains(part), "`{part}` is not in {printed}");
    }
    // The line of the result names a file, which may be long.
    let longest = printed.lines().skip(1).map(|l| l.chars().count()).max();
    assert!(longest.unwrap() <= 80, "{printed}");
    let json: Value = serde_json::from_str(&ane_trainer(&["eval", out, "--json"])).unwrap();
    let judgement = &json["judgement"];
    assert_eq!(judgement["kind"], "classes");
    assert_eq!(judgement["accuracy"], json["accuracy"]);
    let counts = |row: &Value| {
        row.as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum::<u64>()
    };
    let confusion = judgement["confusion"].as_array().unwrap();
    assert_eq!(confusion.iter().map(counts).sum::<u64>(), 10_000);
    assert_eq!(confusion.len(), 10);
    for (row, class) in confusion
        .iter()
        .zip(judgement["classes"].as_array().unwrap())
    {
        assert_eq!(counts(row), class["support"], "{class}");
    }
    let bins = judgement["calibration"]["bins"].as_array().unwrap();
    assert_eq!(
        bins.iter()
            .map(|b| b["count"].as_u64().unwrap())
            .sum::<u64>(),
        10_000
    );
    let text = std::fs::read_to_string(&predictions).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(
        rows[0],
        ["example", "class", "predicted", "confidence", "of_class"]
    );
    let numbers = [rows[1][0], rows[10_000][0]];
    assert_eq!((rows.len(), numbers), (10_001, ["1", "10000"]));
    let right = rows[1..].iter().filter(|row| row[1] == row[2]).count();
    assert_eq!(right as f64 / 1e4, json["accuracy"].as_f64().unwrap());
}

#[test]
fn predictions_go_into_no_other_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("predictions.xlsx");
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["eval", "no-run", "-o"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(
        told.contains("predictions.xlsx") && told.contains(".csv"),
        "{told}"
    );
    assert!(!file.exists());
}

#[test]
fn eval_of_a_run_gives_its_result_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    train(&run, &[]);
    let result = read(&run.join("result.json"));
    assert_eq!(result["examples"], 10_000);
    assert!(result["accuracy"].as_f64().unwrap() > 0.8, "{result}");
    let out = run.to_str().unwrap();
    let best = run.join("checkpoints/best.ckpt");
    // The directory stands for its best checkpoint; threads change nothing.
    for path in [out, best.to_str().unwrap()] {
        let printed = ane_trainer(&["eval", path, "--json", "--threads", "1"]);
        let evaluated: Value = serde_json::from_str(&printed).unwrap();
        must_include(&evaluated, &result);
        assert_eq!(evaluated["schema"], 1);
    }
    let line = ane_trainer(&["eval", out]);
    let accuracy = 100.0 * result["accuracy"].as_f64().unwrap();
    let expected = format!("test: accuracy {accuracy:.2} % on 10000 examples");
    assert!(line.starts_with(&expected), "{line}");
    assert!(line.contains("best.ckpt"), "{line}");
}

#[test]
fn a_run_says_what_it_was_and_where_it_ran() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    train(&run, &[]);
    let config = read(&run.join("config.json"));
    for (field, value) in [
        ("dataset", json!("mnist")),
        ("centred", json!(false)),
        ("model", json!("784-16-10:gelu")),
        ("batch", json!(1000)),
        ("epochs", json!(2)),
        ("lr", json!(0.01)),
        ("seed", json!(5)),
        ("device", json!("software")),
        ("target", json!("software")),
        ("plan", json!("fused")),
        ("numerics", json!("ieee")),
        ("require_ane", json!(false)),
        ("final", json!(false)),
    ] {
        assert_eq!(config[field], value, "{field} of {config:#}");
    }
    let checkpoint = Checkpoint::read(&run.join("checkpoints/last.ckpt")).unwrap();
    assert_eq!(config, checkpoint.record.config);
    let environment = read(&run.join("env.json"));
    let expected = json!({
        "ane_trainer": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "instruction_set": Isa::detect().name(),
        "threads": 2,
    });
    assert_eq!(environment, expected);
    let weights = std::fs::read(run.join("checkpoints/best.safetensors")).unwrap();
    // A safetensors file: the length of its header, which is JSON.
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap());
    let header = &weights[8..8 + usize::try_from(length).unwrap()];
    let header: Value = serde_json::from_slice(header).unwrap();
    let metadata = &header["__metadata__"];
    assert_eq!(metadata["architecture"], "784-16-10:gelu");
    assert_eq!(metadata["dataset"], "mnist");
    let json_of = |key: &str| serde_json::from_str(metadata[key].as_str().unwrap()).unwrap();
    let classes: Value = json_of("class_names");
    assert_eq!(classes.as_array().unwrap().len(), 10);
    assert_eq!(json_of("input_shape"), json!([1, 28, 28]));
    let scaling: Value = json_of("input_scaling");
    assert_eq!(
        (&scaling["mean"], &scaling["std"]),
        (&json!(0.0), &json!(0.3081))
    );
}

#[test]
fn eval_gives_a_model_the_pixels_that_it_was_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let runs = [("scaled", &[][..]), ("centred", &["--centred"][..])].map(|(name, flags)| {
        let run = dir.path().join(name);
        train(&run, flags);
        let result = read(&run.join("result.json"));
        let printed = ane_trainer(&["eval", run.to_str().unwrap(), "--json"]);
        must_include(&serde_json::from_str(&printed).unwrap(), &result);
        result
    });
    assert_ne!(runs[0], runs[1]);
}

#[test]
fn rows_have_the_same_numbers_wherever_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("table.csv");
    // What is learned of a row is its number, counted from 1; the tenth lacks what it would be learned from.
    let row = |i: u32| match i {
        10 => ",10\n".to_owned(),
        _ => format!("{},{i}\n", i % 7),
    };
    let rows: String = (1..=40).map(row).collect();
    std::fs::write(&table, format!("x,number\n{rows}")).unwrap();
    let (run, answers) = (dir.path().join("run"), dir.path().join("answers.csv"));
    let [table, run, answers] = [&table, &run, &answers].map(|path| path.to_str().unwrap());
    let learned = ["--label", "number", "--missing", "drop", "--model", "1-4-1"];
    let data = ["train", "--data", table, "--epochs", "1", "--out", run];
    ane_trainer(&[&data[..], &learned].concat());
    let mut evaluated = Vec::new();
    for data in [&[][..], &["--data", table]] {
        ane_trainer(&[&["eval", run, "--output", answers], data].concat());
        let text = std::fs::read_to_string(answers).unwrap();
        evaluated = text.lines().skip(1).map(str::to_owned).collect();
        for line in &evaluated {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            assert_eq!(cells[0], cells[1].round(), "{text}");
        }
    }
    assert_eq!(evaluated.len(), 39);
    let predicted = ane_trainer(&["predict", run, table]);
    for (line, evaluated) in predicted.lines().skip(1).zip(&evaluated) {
        let number = evaluated.split(',').next().unwrap();
        assert!(line.starts_with(&format!("{table}:{number},")), "{line}");
    }
    ane_trainer(&["report", run]);
    let page = std::fs::read_to_string(Path::new(run).join("report.html")).unwrap();
    let shown: Vec<&str> = page.matches("<br>example ").collect();
    assert!(!shown.is_empty());
    for part in page.split("instead of <b>number ").skip(1) {
        let (wanted, rest) = part.split_once("</b><br>example ").unwrap();
        let (number, _) = rest.split_once('<').unwrap();
        let wanted: f64 = wanted.parse().unwrap();
        assert_eq!(wanted.round().to_string(), number, "{part}");
    }
}
