//! A run that is followed by its files: what is told, and when it ends.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

fn started(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn train(run: &Path, epochs: &str) -> Child {
    let model = ["train", "--model", "784-16-10", "--batch", "1000"];
    let engine = ["--device", "software", "--out", run.to_str().unwrap()];
    started(&[&model[..], &["--epochs", epochs], &engine].concat())
}

/// The lines of a process that are told of epochs and of the result, up to what `train` alone knows.
fn course(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .filter(|l| l.starts_with("epoch ") || l.starts_with("test:"));
    lines.map(|l| l.split(" (").next().unwrap()).collect()
}

#[test]
fn a_run_in_training_is_followed_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut training = train(&run, "4");
    // The first line says that the files are there.
    let mut lines = BufReader::new(training.stdout.take().unwrap());
    let mut told = String::new();
    lines.read_line(&mut told).unwrap();
    let number = training.id();
    let watched = says(&["watch", run.to_str().unwrap()]);
    lines.read_to_string(&mut told).unwrap();
    assert!(training.wait().unwrap().success());
    assert_eq!(course(&told).len(), 5, "{told}");
    assert_eq!(course(&watched), course(&told));
    assert!(
        watched.contains(&format!("trained by process {number}")),
        "{watched}"
    );
    // Afterwards it says the same.
    let again = says(&["watch", run.to_str().unwrap()]);
    assert_eq!(course(&again), course(&told));
    assert!(again.contains("not in training"), "{again}");
    // What is known of the times may be lost.
    fs::remove_file(run.join("timing.jsonl")).unwrap();
    let again = says(&["watch", run.to_str().unwrap()]);
    assert_eq!(course(&again).len(), 5);
    assert!(
        !again.contains("examples/s") && !again.contains("NaN"),
        "{again}"
    );
}

#[test]
fn whoever_watches_may_leave_and_a_run_that_was_killed_has_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut training = train(&run, "100000");
    let mut first = String::new();
    let mut lines = BufReader::new(training.stdout.take().unwrap());
    lines.read_line(&mut first).unwrap();
    let mut watching = started(&["watch", run.to_str().unwrap()]);
    let mut told = BufReader::new(watching.stdout.take().unwrap());
    // What it is, and two epochs: then there is a checkpoint.
    for _ in 0..5 {
        told.read_line(&mut first).unwrap();
    }
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(130));
    assert!(training.try_wait().unwrap().is_none(), "it still trains");
    training.kill().unwrap();
    training.wait().unwrap();
    let watched = says(&["watch", run.to_str().unwrap()]);
    let expected = format!(
        "the run has stopped before its end; continue with:\n  ane-trainer train --resume {}\n",
        run.display()
    );
    assert!(watched.ends_with(&expected), "{watched}");
}

#[test]
fn what_is_no_run_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    fails(
        &["watch", absent.to_str().unwrap()],
        1,
        &["there is no run", "runs list"],
    );
    let empty = dir.path().to_str().unwrap();
    fails(&["watch", empty], 1, &["is no run", "config.json"]);
    fs::write(dir.path().join("config.json"), "{").unwrap();
    fails(&["watch", empty], 1, &["is no run"]);
    fs::write(dir.path().join("config.json"), "[1]").unwrap();
    fs::write(dir.path().join("metrics.jsonl"), "{\"step\":3}\n\u{0}").unwrap();
    assert!(says(&["watch", empty]).contains("stopped before its end"));
    fs::write(dir.path().join("result.json"), "null").unwrap();
    assert!(says(&["watch", empty]).contains("none was held out"));
}

#[test]
fn what_is_trained_is_called_as_the_training_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("heights.csv");
    let rows: String = (0..40).map(|i| format!("{i},{}\n", i % 2)).collect();
    fs::write(&table, format!("x,label\n{rows}")).unwrap();
    for (name, data) in [("own", table.to_str().unwrap()), ("known", "iris")] {
        let run = dir.path().join(name);
        let run = run.to_str().unwrap();
        let train = ["train", "--dataset", data, "--epochs", "1", "--out", run];
        let trained = says(&train);
        let watched = says(&["watch", run]);
        assert_eq!(watched.lines().next(), trained.lines().next());
    }
}
