//! Who may write in a run directory, and where a run goes on: two trainings at once, runs without a checkpoint, a
//! checkpoint that lies alone, a run that has ended, records that no run has written.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_train::checkpoint::Checkpoint;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::SystemTime,
};

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A small run: 60 steps an epoch, and files written twice in configuration and environment, then four times an epoch.
fn train(out: &Path, epochs: &str) -> Command {
    let mut command = program(&["train", "--model", "784-10", "--batch", "1000"]);
    command.args(["--epochs", epochs, "--out"]).arg(out);
    command
}

fn resume(from: &Path) -> Command {
    let mut command = program(&["train", "--resume"]);
    command.arg(from);
    command
}

/// What a command says on both channels, in one line; it ends with `code`.
fn ends(mut command: Command, code: i32) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    let words: Vec<&str> = said.split_whitespace().filter(|w| *w != "│").collect();
    let said = words.join(" ");
    assert_eq!(status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn says(command: Command, code: i32, parts: &[&str]) {
    let said = ends(command, code);
    for part in parts {
        assert!(said.contains(part), "`{part}` in {said}");
    }
}

/// A run that has written so many files and was killed then.
fn killed_in_write(number: u32, out: &Path) {
    let status = train(out, "3")
        .env("ANE_TRAINER_CRASH", format!("write:{number}"))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
}

/// A training that has begun, and goes on until it is killed.
fn begun(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert!(line.contains(" on MNIST"), "{line}");
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Every file of a run below a directory, with its content and when it was written; the lock of a process that was killed
/// is nobody's.
fn files(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if !path.ends_with(".lock") {
            let written = fs::metadata(&path).unwrap().modified().unwrap();
            all.insert(path.clone(), (fs::read(&path).unwrap(), written));
        }
    }
    all
}

#[test]
fn a_directory_is_one_training_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    // Its first epoch lasts longer than the others take to be refused.
    let mut long = program(&["train", "--model", "784-24-10", "--batch", "4"]);
    long.args(["--epochs", "1000", "--checkpoint-every", "5", "--out"])
        .arg(&run);
    let first = begun(long);
    let holder = format!("process {}", first.id());
    let parts = ["trains there", &holder, "wait until it has ended"];
    while !run.join("checkpoints/last.ckpt").exists() {
        std::thread::yield_now();
    }
    says(resume(&run), 1, &parts);
    says(resume(&run.join("checkpoints/last.ckpt")), 1, &parts);
    kill(first);
    // What was killed holds nobody up, and who goes on is alone as well.
    let second = begun(resume(&run));
    let holder = format!("process {}", second.id());
    says(resume(&run), 1, &["trains there", &holder]);
    kill(second);
}

#[test]
fn two_trainings_that_begin_at_once_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let both = [(); 2].map(|()| {
        train(&run, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    });
    let codes = both.map(|child| child.wait_with_output().unwrap().status.code().unwrap());
    // The second is refused by the lock, or, when the first has got further, by what that has written.
    assert!(codes.contains(&0), "{codes:?}");
    assert!(codes.contains(&1) || codes.contains(&2), "{codes:?}");
}

#[test]
fn a_run_without_a_checkpoint_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    killed_in_write(3, &run);
    let again = format!("train --out {}", run.display());
    let parts = ["no checkpoint yet", &again, "config.json"];
    says(resume(&run), 1, &parts);
    says(program(&["eval", run.to_str().unwrap()]), 1, &parts[..1]);
    // What it says can be done.
    ends(train(&run, "1"), 0);
    assert!(run.join("result.json").exists());
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    says(resume(&empty), 1, &["is no run", "config.json"]);
}

#[test]
fn a_checkpoint_that_lies_alone_goes_on_beside_itself() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    killed_in_write(8, &run);
    let last = run.join("checkpoints/last.ckpt");
    assert!(Checkpoint::read(&last).unwrap().record.best.is_some());
    let inner = dir.path().join("outer/inner");
    fs::create_dir_all(&inner).unwrap();
    let alone = inner.join("mine.ckpt");
    fs::copy(&last, &alone).unwrap();
    ends(resume(&alone), 0);
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(inner.parent().unwrap()), ["inner"]);
    assert_eq!(names(&inner), ["mine", "mine.ckpt"]);
    assert!(inner.join("mine/result.json").exists());
    assert_eq!(fs::read(&alone).unwrap(), fs::read(&last).unwrap());
    // The best epoch that the record knows of is not here; one of those that came is.
    let best = Checkpoint::read(&inner.join("mine/checkpoints/best.ckpt")).unwrap();
    assert!(best.record.best.unwrap().epoch > 1);
    // The same bits come of it in its own place, from the file itself.
    ends(resume(&last), 0);
    let weights = |run: &Path| fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    assert_eq!(weights(&run), weights(&inner.join("mine")));
}

#[test]
fn a_run_that_has_ended_says_so_and_keeps_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    ends(train(&run, "1"), 0);
    let before = files(&run);
    says(resume(&run), 0, &["had ended", "its files stay"]);
    assert!(files(&run) == before);
}

#[test]
fn a_record_that_no_run_has_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    killed_in_write(8, &run);
    let last = run.join("checkpoints/last.ckpt");
    let good = Checkpoint::read(&last).unwrap();
    let huge = 1_u64 << 60;
    for (at, value, parts) in [
        ("/config/batch", json!(0), ["`batch`", "found 0"]),
        (
            "/config/batch",
            json!(huge),
            ["`batch`", "1152921504606846976"],
        ),
        ("/config/epochs", json!(huge), ["`epochs`", "1 to 100000"]),
        ("/config/lr", json!(-0.1), ["`lr`", "above 0"]),
        (
            "/config/lr",
            Value::Null,
            ["configuration", "does not know"],
        ),
        ("/config/dataset", json!("cats"), ["cats", "fashion-mnist"]),
        ("/config/model", json!("784-70000-10"), ["70000", "width"]),
        // The tensors that differ are named, in a dry run too.
        (
            "/config/model",
            json!("784-33-10"),
            [
                "does not fit its own configuration",
                "`weight.0.weight`: expected 25872 fp32 values, found",
            ],
        ),
        ("/config/optimizer/eps", json!(0.0), ["`eps`", "above 0"]),
        ("/position/0", json!(9), ["batch 0 of epoch 9", "3 epochs"]),
        ("/position/1", json!(55), ["batch 55", "of 55 batches"]),
        (
            "/position/1",
            json!(huge),
            ["batch 1152921504606846976", "epochs"],
        ),
        (
            "/progress/step",
            json!(u64::MAX),
            ["no checkpoint of this program", "step"],
        ),
    ] {
        let mut record = serde_json::to_value(&good.record).unwrap();
        *record.pointer_mut(at).unwrap() = value;
        let bad = Checkpoint {
            record: serde_json::from_value(record).unwrap(),
            ..good.clone()
        };
        bad.write(&last).unwrap();
        let before = files(&run);
        let said = ends_badly(resume(&run));
        for part in parts {
            assert!(said.contains(part), "{at}: `{part}` in {said}");
        }
        let mut dry = resume(&run);
        dry.arg("--dry-run");
        assert_eq!(ends_badly(dry), said, "{at}");
        // The counters are nothing to it.
        let evaluated = program(&["eval", last.to_str().unwrap()]).output().unwrap();
        assert!(
            matches!(evaluated.status.code(), Some(0..=2)),
            "{evaluated:?}"
        );
        assert!(files(&run) == before, "{at}");
    }
}

/// What a command says that fails, whoever's fault it is.
fn ends_badly(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let words: Vec<&str> = said.split_whitespace().filter(|w| *w != "│").collect();
    let said = words.join(" ");
    assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}
