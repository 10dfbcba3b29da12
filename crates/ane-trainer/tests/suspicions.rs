//! What is noted of data that can be read and does not look right, and of data of another kind.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/made_files.rs"]
mod made_files;
#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use std::{fs, process::Command};
use tempfile::TempDir;

/// Rows with a number of each, a text, two numbers and a class.
fn customers(sign: char, delimiter: char) -> String {
    let mut text = ["id", "city", "age", "income", "plan"].join(&delimiter.to_string()) + "\n";
    for i in 0..80 {
        let income = format!("{}.{}", i * 37 % 101, i % 10).replace('.', &sign.to_string());
        let class = match i {
            0 | 1 => "gold",
            i => ["basic", "pro"][i % 2],
        };
        let cells = [
            (1000 + i).to_string(),
            ["Bern", "Rome"][i % 3 % 2].to_owned(),
            (20 + i % 50).to_string(),
            income,
            class.to_owned(),
        ];
        text.push_str(&(cells.join(&delimiter.to_string()) + "\n"));
    }
    text
}

fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What stands on the standard error of a run that succeeds, without what is said of targets.
fn notes(arguments: &[&str]) -> Vec<String> {
    let done = Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .env_remove("ANE_TRAINER_ISA")
        .output()
        .unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{arguments:?}: {told}");
    let lines = told.lines().filter(|line| line.starts_with("note: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_looks_like_a_mistake_is_noted_once_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = write(&dir, "customers.csv", customers('.', ','));
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    let flags = [
        "--model", "4-8-3", "--epochs", "1", "--ignore", "0", "--out", run,
    ];
    let said = notes(&[&["train", "--data", &table], &flags[..]].concat());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("fewer than 5 examples of `gold` (2)"));
    let said = notes(&["data", "inspect", &table]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("column `id` numbers the rows") && said[0].contains("--ignore id"));
    // A place that is left out is left out.
    let summary = says(&["data", "inspect", &table, "--ignore", "0"]);
    assert!(!summary.contains(" id "), "{summary}");
    let new = "id,city,age,income\n1,Oslo,30,1.5\n2,Oslo,31,2.5\n3,Bern,32,3.5\n";
    let new = write(&dir, "new.csv", new);
    let said = notes(&["predict", run, &new]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("column `city`: `Oslo` was not there in training"),
        "{said:?}"
    );
    let picture = write(&dir, "a.png", made_files::png(4, 4));
    fails(
        &["predict", run, &picture],
        1,
        &["expected CSV or TSV", "tables with 3 columns"],
    );
    // Of what is held out, all that flags say.
    let inspect = ["data", "inspect", &table];
    let half = says(&[&inspect[..], &["--validation", "0.5", "--test", "20"]].concat());
    assert!(
        half.contains("train on 30, validate on 30 and test on 20"),
        "{half}"
    );
    let all = says(&[&inspect[..], &["--final", "--test", "0"]].concat());
    assert!(
        all.contains("train on 80, validate on none and test on none"),
        "{all}"
    );
}

#[test]
fn numbers_with_a_comma_are_numbers_where_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let point = write(&dir, "point.csv", customers('.', ','));
    let comma = write(&dir, "comma.csv", customers(',', ';'));
    let train = |table: &str, more: &[&str]| {
        let out = dir.path().join(format!("run-{}", more.len()));
        let out = out.to_str().unwrap().to_owned();
        let flags = [
            "--label", "income", "--task", "values", "--model", "6-8-1", "--epochs", "2",
        ];
        let own = ["train", "--data", table, "--ignore", "id", "--out", &out];
        says(&[&own[..], &flags, more].concat());
        out
    };
    let (plain, german) = (train(&point, &[]), train(&comma, &["--decimal", ","]));
    let metrics = |run: &str| fs::read_to_string(format!("{run}/metrics.jsonl")).unwrap();
    assert_eq!(metrics(&plain), metrics(&german));
    let answers = says(&["predict", &german, &comma]).replace("comma", "point");
    assert_eq!(answers, says(&["predict", &plain, &point]));
    fails(
        &["export", &plain, "--format", "mlpackage", "--classifier"],
        2,
        &["--classifier is for classes", "learned numbers"],
    );
    fails(
        &["export", &plain, "--format", "mlpackage", "--image-input"],
        2,
        &["--image-input is for pictures", "tables with 3 columns"],
    );
    let said = says(&["export", &plain, "--format", "onnx"]);
    assert!(
        said.contains("\n  inputs: 6 values of 3 columns: (x - mean)"),
        "{said}"
    );
    assert!(!said.contains('{'), "{said}");
}
