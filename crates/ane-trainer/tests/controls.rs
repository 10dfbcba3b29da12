//! What ends a run, and what is tried before one.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A table whose label is a number's sign, but for one row in ten.
fn table(dir: &TempDir) -> String {
    let mut text = String::from("x,y,label\n");
    for i in 0..240 {
        let x = ((i * 37) % 101) as f64 / 50.0 - 1.0;
        let is_above = (x > 0.0) != (i % 10 == 0);
        text.push_str(&format!(
            "{x},{},{}\n",
            i % 7,
            if is_above { "above" } else { "below" }
        ));
    }
    let path = dir.path().join("t.csv");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn epochs(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .count()
}

#[test]
fn patience_ends_a_run_that_gets_no_better_and_it_stays_ended() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    let said = says(&[
        "train",
        "--data",
        &table,
        "--epochs",
        "80",
        "--patience",
        "4",
        "--out",
        out,
    ]);
    assert!(
        said.contains("no better validation result in 4 epochs"),
        "{said}"
    );
    let done = epochs(&run);
    assert!(done < 80);
    let watched = says(&["watch", out]);
    assert!(
        watched.contains("ended: no better validation result in 4 epochs"),
        "{watched}"
    );
    let said = says(&["train", "--resume", out]);
    assert!(said.contains("the run had ended"), "{said}");
    assert_eq!(epochs(&run), done);
}

#[test]
fn a_run_that_has_waited_or_taken_its_steps_is_given_more() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let train = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let out = run.to_str().unwrap();
        let own = ["train", "--data", &table, "--model", "2-8-2", "--out", out];
        let constant = ["--schedule", "constant", "--lr", "0.01"];
        says(&[&own[..], &constant, more].concat());
        run
    };
    let resume = |run: &Path, more: &[&str]| {
        says(&[&["train", "--resume", run.to_str().unwrap()], more].concat())
    };
    let read = |run: &Path, name: &str| fs::read(run.join(name)).unwrap();
    let extended = |run: &Path| -> Value {
        let config: Value = serde_json::from_slice(&read(run, "config.json")).unwrap();
        config["extended"].clone()
    };
    let must_be_equal = |longer: &Path, whole: &Path| {
        for file in ["checkpoints/last.safetensors", "metrics.csv", "result.json"] {
            let equal = [longer, whole].map(|run| {
                // What an epoch took is another time.
                let text = String::from_utf8_lossy(&read(run, file)).into_owned();
                let of_row = |row: &str| row.rsplit_once(',').map_or(row, |r| r.0).to_owned();
                text.lines().map(of_row).collect::<Vec<_>>()
            });
            assert_eq!(equal[0], equal[1], "{file}");
        }
    };
    // Less patience and more of it.
    let whole = train("whole", &["--epochs", "80", "--patience", "6"]);
    let patient = train("patient", &["--epochs", "80", "--patience", "2"]);
    let waited = epochs(&patient);
    assert!(waited < epochs(&whole));
    let told = resume(&patient, &[]);
    assert!(told.contains("no better validation result in 2 epochs"));
    assert!(told.contains("with more --patience or --epochs it goes on"));
    fails(
        &[
            "train",
            "--resume",
            patient.to_str().unwrap(),
            "--patience",
            "1",
        ],
        2,
        &["E0305", "a run with --patience 2"],
    );
    resume(&patient, &["--patience", "6"]);
    must_be_equal(&patient, &whole);
    assert_eq!(extended(&patient)[0]["patience"], 2);
    // More epochs have it wait anew.
    let again = train("again", &["--epochs", "80", "--patience", "2"]);
    resume(&again, &["--epochs", "81"]);
    assert!(epochs(&again) >= waited + 2, "{}", epochs(&again));
    assert_eq!(extended(&again)[0]["epochs"], 80);
    assert_eq!(extended(&again)[0]["waits_since"], waited);
    // It has as many steps as it is given, also from within an epoch.
    let whole = train(
        "long",
        &["--epochs", "9", "--max-steps", "5", "--batch", "50"],
    );
    for most in ["1", "2", "4"] {
        let few = ["--epochs", "9", "--max-steps", most, "--batch", "50"];
        let few = train(&format!("few-{most}"), &few);
        let told = resume(&few, &[]);
        assert!(
            told.contains(&format!("all of its {most} steps are done")),
            "{told}"
        );
        assert!(told.contains("with more --max-steps it goes on"), "{told}");
        resume(&few, &["--max-steps", "5"]);
        must_be_equal(&few, &whole);
        assert_eq!(extended(&few)[0]["max_steps"].to_string(), most);
        assert_eq!(epochs(&few), epochs(&whole));
    }
}

#[test]
fn a_run_whose_time_is_over_is_judged_and_goes_on_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let [whole, cut] = ["whole", "cut"].map(|name| dir.path().join(name));
    let train = |run: &Path, more: &[&str]| {
        let out = run.to_str().unwrap();
        let own = [
            "train", "--data", &table, "--epochs", "4", "--model", "2-8-2", "--out", out,
        ];
        says(&[&own[..], more].concat())
    };
    train(&whole, &[]);
    let said = train(&cut, &["--max-time", "0.000001s"]);
    assert!(said.contains("its time is over"), "{said}");
    assert!(cut.join("result.json").is_file());
    says(&["train", "--resume", cut.to_str().unwrap()]);
    let of = |run: &Path| fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    assert_eq!(of(&whole), of(&cut));
    fails(
        &["train", "--max-time", "soon"],
        2,
        &["such as 90s, 10m or 2h"],
    );
}

#[test]
fn a_fast_development_run_takes_a_step_and_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let said = says(&["train", "--data", &table, "--fast-dev-run"]);
    assert!(
        said.contains("for 1 training step and 2 evaluations"),
        "{said}"
    );
    let run = said.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert!(!Path::new(run).exists(), "{run}");
    fails(
        &["train", "--data", &table, "--fast-dev-run", "--out", "x"],
        2,
        &["--fast-dev-run", "--out"],
    );
}

#[test]
fn a_batch_is_learned_by_heart_where_a_model_can_learn_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    says(&[
        "train",
        "--data",
        &table,
        "--overfit-batches",
        "1",
        "--batch",
        "16",
        "--epochs",
        "150",
        "--out",
        out,
    ]);
    let result: Value =
        serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["examples"], 16);
    assert_eq!(result["accuracy"], 1.0);
    let config: Value =
        serde_json::from_slice(&fs::read(run.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["overfit_batches"], 1);
}

#[test]
fn a_setting_of_another_optimizer_or_schedule_is_refused_with_what_it_belongs_to() {
    for (flags, parts) in [
        (
            ["--optimizer", "sgd", "--betas", "0.9,0.99"],
            ["adam and adamw", "--optimizer adamw"],
        ),
        (
            ["--optimizer", "adam", "--momentum", "0.9"],
            ["belong to sgd", "--optimizer sgd"],
        ),
        (
            ["--schedule", "step", "--warmup", "0.1"],
            ["--warmup", "not to step"],
        ),
        (
            ["--schedule", "constant", "--lr-floor", "0.1"],
            ["cosine, linear and exponential", "not to constant"],
        ),
        (
            ["--schedule", "cosine", "--gamma", "0.1"],
            ["the schedule step", "--schedule step"],
        ),
        (
            ["--optimizer", "adam", "--betas", "0.9"],
            ["two numbers", "0.9,0.999"],
        ),
        (
            ["--ema", "0.9", "--plan", "fused"],
            ["cannot average its weights", "--plan split"],
        ),
    ] {
        fails(&[&["train", "--dry-run"], &flags[..]].concat(), 2, &parts);
    }
}

#[test]
fn checkpoints_of_the_last_epochs_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    let own = ["train", "--dataset", "iris", "--epochs", "5", "--keep", "2"];
    says(&[&own[..], &["--out", out]].concat());
    let mut names: Vec<String> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("epoch-"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "0004.ckpt",
            "0004.safetensors",
            "0005.ckpt",
            "0005.safetensors"
        ]
        .map(|end| format!("epoch-{end}"))
    );
    let kept = |name: &str| fs::read(run.join("checkpoints").join(name)).unwrap();
    assert!(kept("epoch-0005.ckpt") == kept("last.ckpt"));
    says(&[
        "eval",
        run.join("checkpoints/epoch-0004.ckpt").to_str().unwrap(),
    ]);
}

#[test]
fn a_run_is_not_judged_by_what_its_table_has_become() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    says(&["train", "--data", &table, "--epochs", "1", "--out", out]);
    says(&["eval", out]);
    let whole = fs::read_to_string(&table).unwrap();
    let shorter: Vec<&str> = whole.lines().take(180).collect();
    fs::write(&table, shorter.join("\n")).unwrap();
    fails(&["eval", out], 1, &["other examples", "--data"]);
    // Examples that are named are the user's to answer for.
    says(&["eval", out, "--data", &table]);
}

#[test]
fn rows_without_an_answer_are_told_and_inspect_shows_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = fs::read_to_string(table(&dir)).unwrap();
    text.push_str(",3,above\n");
    let path = dir.path().join("gaps.csv");
    fs::write(&path, &text).unwrap();
    let gaps = path.to_str().unwrap();
    let inspected = says(&["data", "inspect", gaps]);
    assert!(inspected.contains("class above"), "{inspected}");
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    says(&[
        "train",
        "--data",
        gaps,
        "--missing",
        "drop",
        "--epochs",
        "1",
        "--out",
        out,
    ]);
    let answered = std::process::Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
        .args(["predict", out, gaps, "--format", "csv"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&answered.stderr);
    assert!(told.contains("1 of 241 rows have no answer"), "{told}");
    assert!(told.contains("a cell is empty: 241"), "{told}");
}

#[test]
fn a_metric_of_another_task_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    fails(
        &["train", "--data", &table, "--metric", "rmse"],
        2,
        &["`rmse` says nothing", "classes"],
    );
    fails(
        &[
            "train", "--data", &table, "--label", "y", "--task", "values", "--metric", "accuracy",
        ],
        2,
        &["`accuracy` says nothing", "numbers"],
    );
}
