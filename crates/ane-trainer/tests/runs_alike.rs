//! Runs whose results can be held against each other, and runs whose results cannot.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A table of two numbers and a class.
fn table(dir: &TempDir, name: &str, rows: u32) -> String {
    let mut text = String::from("x,price,kind\n");
    for i in 0..rows {
        let x = f64::from((i * 37) % 101) / 50.0 - 1.0;
        text.push_str(&format!(
            "{x},{},{}\n",
            30.0 + 20.5 * x,
            if x > 0.1 { "a" } else { "b" }
        ));
    }
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A run of one epoch, which gives its path.
fn run(dir: &TempDir, name: &str, table: &str, more: &[&str]) -> String {
    let out = dir.path().join("runs").join(name);
    let out = out.to_str().unwrap().to_owned();
    let own = ["train", "--data", table, "--epochs", "1", "--out", &out];
    says(&[&own[..], more].concat());
    out
}

#[test]
fn the_best_of_those_that_are_judged_by_the_same_stay() {
    let dir = tempfile::tempdir().unwrap();
    let t = table(&dir, "t.csv", 120);
    let price = ["--label", "price"];
    let log = ["--label", "price", "--log-target"];
    let fewer = ["--label", "price", "--test", "10"];
    // The error of a logarithm is smaller than any of a price.
    let runs = [
        run(&dir, "price-0", &t, &price),
        run(
            &dir,
            "price-1",
            &t,
            &[&price[..], &["--seed", "1"]].concat(),
        ),
        run(&dir, "log-0", &t, &log),
        run(&dir, "log-1", &t, &[&log[..], &["--seed", "1"]].concat()),
        run(&dir, "kind", &t, &[]),
        run(&dir, "fewer", &t, &fewer),
        run(&dir, "other", &table(&dir, "u.csv", 130), &price),
    ];
    let folder = dir.path().join("runs");
    let folder = folder.to_str().unwrap();
    let said = says(&["runs", "prune", folder, "--keep", "1"]);
    for part in [
        "t, rmse of the logarithm of price: 2 runs, of which the best stays",
        "t, rmse of price: 2 runs, of which the best stays",
        "t, rmse of price: 1 run, which stays",
        "t, accuracy of the classes a, b: 1 run, which stays",
        "u, rmse of price: 1 run, which stays",
    ] {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    says(&["runs", "prune", folder, "--keep", "1", "--yes"]);
    let stays: Vec<bool> = runs.iter().map(|run| Path::new(run).exists()).collect();
    assert_ne!(stays[0], stays[1]);
    assert_ne!(stays[2], stays[3]);
    assert_eq!(stays[4..], [true; 3]);
}

#[test]
fn a_run_counts_once_and_only_beside_its_like() {
    let dir = tempfile::tempdir().unwrap();
    let t = table(&dir, "t.csv", 120);
    let price = ["--label", "price"];
    let a = run(&dir, "a", &t, &price);
    let again = run(&dir, "again", &t, &price);
    let b = run(&dir, "b", &t, &[&price[..], &["--lr", "0.1"]].concat());
    let twice = format!("{} is named twice", format_args!("`{a}`"));
    fails(&["compare", &a, &a, &b], 2, &[&twice]);
    let roundabout = format!("{a}/../a");
    fails(&["compare", &a, &b, &roundabout], 2, &["is named twice"]);
    fails(&["compare", &a, &again, &b], 2, &["once more", "same seed"]);
    let log = run(&dir, "log", &t, &[&price[..], &["--log-target"]].concat());
    let kind = run(&dir, "kind", &t, &[]);
    let fewer = run(&dir, "fewer", &t, &[&price[..], &["--test", "10"]].concat());
    let other = run(&dir, "other", &table(&dir, "u.csv", 130), &price);
    for (run, why) in [
        (&log, "learns the logarithm of price"),
        (&kind, "is judged by accuracy"),
        (&fewer, "by the examples of"),
        (&other, "u.csv"),
    ] {
        fails(&["compare", &a, run], 2, &["cannot be compared", why]);
    }
    // Whether a column helps is a question that two runs can answer.
    let fewer_columns = [&price[..], &["--ignore", "kind"]].concat();
    let ignoring = run(&dir, "ignoring", &t, &fewer_columns);
    let said = says(&["compare", &a, &ignoring]);
    assert!(said.contains("data.ignore"), "{said}");
    // What is not the table that the first has learned from is another one, by whatever name.
    table(&dir, "t.csv", 140);
    let later = run(&dir, "later", &t, &price);
    fails(&["compare", &a, &later], 2, &["at another time"]);
}

#[test]
fn groups_are_in_the_object_too() {
    let dir = tempfile::tempdir().unwrap();
    let t = table(&dir, "t.csv", 120);
    for seed in ["0", "1"] {
        run(&dir, seed, &t, &["--seed", seed]);
    }
    run(&dir, "price", &t, &["--label", "price"]);
    let folder = dir.path().join("runs");
    let told = says(&[
        "runs",
        "prune",
        folder.to_str().unwrap(),
        "--keep",
        "1",
        "--json",
    ]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["groups"][0]["learned"], "the classes a, b");
    assert_eq!(told["groups"][0]["runs"], 2);
    assert_eq!(told["groups"][1]["metric"], "rmse");
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);
    assert_eq!(told["runs"][0]["group"], 0);
}
