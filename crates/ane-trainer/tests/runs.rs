//! Runs as things that are listed, compared, extended, begun from each other and removed.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A table whose label is mostly which number is larger.
fn table(dir: &TempDir) -> String {
    let mut text = String::from("x,y,label\n");
    for i in 0..160 {
        let x = f64::from((i * 37) % 101) / 50.0 - 1.0;
        let y = f64::from((i * 53) % 97) / 48.0 - 1.0;
        let is_first = (x > y) != (i % 9 == 0);
        text.push_str(&format!("{x},{y},{}\n", if is_first { "a" } else { "b" }));
    }
    let path = dir.path().join("t.csv");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A run of two epochs in the folder `runs`, which gives its path.
fn run(dir: &TempDir, name: &str, more: &[&str]) -> String {
    let out = dir.path().join("runs").join(name);
    let out = out.to_str().unwrap().to_owned();
    let table = table(dir);
    let own = ["train", "--data", &table, "--epochs", "2", "--out", &out];
    says(&[&own[..], more].concat());
    out
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn runs_are_listed_shown_and_removed_and_what_is_no_run_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = run(&dir, "first", &["--model", "2-8-2"]);
    let second = run(&dir, "second", &["--model", "2-4-2", "--seed", "1"]);
    let folder = dir.path().join("runs");
    fs::create_dir(folder.join("notes")).unwrap();
    let folder = folder.to_str().unwrap();
    let listed = says(&["runs", "list", folder]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.lines().all(|l| l.chars().count() <= 80), "{listed}");
    let all = json(&says(&["runs", "list", folder, "--json"]));
    assert_eq!(all["schema"], 1);
    assert_eq!(all["runs"][1]["config"]["model"], "2-4-2");
    assert_eq!(all["runs"][0]["state"], "finished");
    assert_eq!(all["runs"][0]["epochs"]["done"], 2);
    let shown = says(&["runs", "show", &first]);
    assert!(
        shown.contains("finished, 2 of 2 epochs") && shown.contains("model: 2-8-2"),
        "{shown}"
    );
    // Nothing of it is JSON, and no number has digits that nobody reads.
    assert!(!shown.contains(['{', '[', '"']), "{shown}");
    assert!(shown.contains("  optimizer.betas: 0.9, 0.999"), "{shown}");
    for word in shown.split_whitespace() {
        let is_number = word.parse::<f64>().is_ok();
        let counting = word.trim_start_matches(['0', '.', '-']);
        let digits = counting.bytes().filter(u8::is_ascii_digit).count();
        assert!(!is_number || digits <= 7, "{word} in {shown}");
    }
    let would = says(&["runs", "prune", folder, "--keep", "1"]);
    assert!(
        would.contains("would go") && Path::new(&second).exists(),
        "{would}"
    );
    says(&["runs", "prune", folder, "--keep", "1", "--yes"]);
    assert_ne!(Path::new(&first).exists(), Path::new(&second).exists());
    // What a run has not written stays, and a run in the directory of another does.
    let kept = [&first, &second]
        .into_iter()
        .find(|run| Path::new(run).exists())
        .unwrap();
    fs::write(format!("{kept}/thesis.txt"), "precious").unwrap();
    fs::create_dir(format!("{kept}/inner")).unwrap();
    fs::copy(
        format!("{kept}/config.json"),
        format!("{kept}/inner/config.json"),
    )
    .unwrap();
    let gone = says(&["runs", "rm", kept]);
    assert!(gone.contains("removed the files of the run in"), "{gone}");
    for file in ["thesis.txt", "inner/config.json"] {
        assert!(Path::new(kept).join(file).exists(), "{file}");
    }
    for file in ["config.json", "checkpoints", "metrics.jsonl"] {
        assert!(!Path::new(kept).join(file).exists(), "{file}");
    }
    let notes = format!("{folder}/notes");
    fails(&["runs", "rm", &notes], 1, &["is no run", "runs list"]);
    assert!(Path::new(&notes).exists());
}

#[test]
fn a_run_that_was_cut_short_diverged_or_failed_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let cut = run(&dir, "cut", &["--max-time", "0.000001s"]);
    let folder = dir.path().join("runs");
    let folder = folder.to_str().unwrap();
    let table = table(&dir);
    let out = format!("{folder}/wild");
    let wild = ["--lr", "1e30", "--schedule", "constant", "--out", &out];
    fails(
        &[&["train", "--data", &table, "--epochs", "2"], &wild[..]].concat(),
        1,
        &["diverged"],
    );
    // A folder where a file should be is found when the run is under way.
    let broken = format!("{folder}/broken");
    let config = ["--epochs", "1", "--out", &broken];
    fs::create_dir_all(format!("{broken}/metrics.csv")).unwrap();
    fs::write(format!("{broken}/config.json"), "{}").unwrap();
    fails(
        &[&["train", "--data", &table], &config[..]].concat(),
        1,
        &["metrics.csv"],
    );
    let all = json(&says(&["runs", "list", folder, "--json"]));
    let state = |i: usize| all["runs"][i]["state"].clone();
    assert_eq!([0, 1, 2].map(state), ["failed", "stopped", "diverged"]);
    let listed = says(&["runs", "list", folder]);
    assert!(listed.lines().all(|l| l.chars().count() <= 80), "{listed}");
    // Nothing is written over what is known of them, nor into a folder that is somebody's.
    for (run, why) in [
        (&cut, "holds another run already"),
        (&out, "ending.json"),
        (&broken, "runs rm"),
        (&folder.to_owned(), "is not empty and holds no run"),
    ] {
        let begin = ["train", "--data", &table, "--epochs", "1", "--out", run];
        fails(&begin, 2, &[why]);
    }
    for (run, said) in [
        (&cut, "stopped before its end: its time was over; continue"),
        (&out, "the run has diverged: training diverged at step"),
        (&broken, "the run has failed: "),
    ] {
        let watched = says(&["watch", run]);
        assert!(watched.contains(said), "{watched}");
        assert!(says(&["runs", "show", run]).contains("because: "));
    }
    // What is asked of them that they have not come to.
    fails(
        &["compare", &cut, &out],
        1,
        &[
            "E0307",
            "has no test result: it is diverged",
            "start it again",
            "a smaller --lr",
        ],
    );
    fails(
        &["train", "--resume", &out],
        1,
        &["E0307", "has no checkpoint yet", "another --out"],
    );
    // What can go on is not thrown away.
    let would = says(&["runs", "prune", folder, "--keep", "1"]);
    assert_eq!(would, "nothing to remove\n");
    says(&["train", "--resume", &cut]);
    let shown = says(&["runs", "show", &cut]);
    assert!(
        shown.contains(": finished") && !shown.contains("because"),
        "{shown}"
    );
}

#[test]
fn one_run_a_side_is_a_matter_of_checkpoints_and_several_of_settings() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = ["0", "1", "2", "3"];
    let group = |model: &str, more: &[&str]| -> Vec<String> {
        seeds
            .iter()
            .map(|seed| {
                let flags = [&["--model", model, "--seed", seed], more].concat();
                run(&dir, &format!("{model}-{seed}"), &flags)
            })
            .collect()
    };
    let able = group("2-16-2", &["--lr", "0.05"]);
    // It cannot learn: its rate is next to nothing.
    let unable = group("2-12-2", &["--lr", "1e-9"]);
    let said = says(&["runs", "compare", &able[0], &unable[0]]);
    assert!(
        said.contains("these checkpoints, not these settings"),
        "{said}"
    );
    assert!(said.contains("  lr: 0.05 | 1e-9"), "{said}");
    assert!(said.lines().all(|l| l.chars().count() <= 80), "{said}");
    let alias = says(&["compare", &able[0], &unable[0]]);
    assert_eq!(alias, said);
    let all: Vec<&str> = able.iter().chain(&unable).map(String::as_str).collect();
    let compared = json(&says(&[&["runs", "compare", "--json"], &all[..]].concat()));
    assert_eq!(compared["groups"].as_array().unwrap().len(), 2);
    assert_eq!(compared["verdicts"][0]["different"], true, "{compared}");
    let three: Vec<&str> = able[..3]
        .iter()
        .chain(&unable[..3])
        .map(String::as_str)
        .collect();
    let said = says(&[&["runs", "compare"], &three[..]].concat());
    assert!(
        said.contains("so few runs cannot show a difference"),
        "{said}"
    );
    fails(
        &["runs", "compare", &able[0], "nowhere"],
        1,
        &["there is no run `nowhere`"],
    );
    fails(&["runs", "compare", &able[0]], 2, &["2 values required"]);
}

#[test]
fn a_run_goes_on_for_longer_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = run(&dir, "run", &["--schedule", "constant"]);
    let file = |name: &str| fs::read_to_string(Path::new(&path).join(name)).unwrap();
    let before = file("metrics.jsonl");
    fails(
        &["train", "--resume", &path, "--epochs", "1"],
        2,
        &[
            "a run with --epochs 2",
            "--epochs says 1",
            "pass more --epochs",
        ],
    );
    let said = says(&["train", "--resume", &path, "--epochs", "4"]);
    assert!(said.contains("epoch  4/4"), "{said}");
    let after = file("metrics.jsonl");
    assert!(after.starts_with(&before) && after.lines().count() == 4);
    let config = json(&file("config.json"));
    assert_eq!(config["epochs"], 4);
    assert_eq!(config["extended"][0]["epochs"], 2);
    assert!(says(&["train", "--resume", &path]).contains("the run had ended"));
    fails(
        &["train", "--resume", &path, "--epochs", "3"],
        2,
        &["a run with --epochs 4", "pass more --epochs"],
    );
    // A constant rate knows nothing of the end, so that the longer run has the same bits.
    let (whole, table) = (dir.path().join("whole"), table(&dir));
    let whole = whole.to_str().unwrap();
    says(&[
        "train",
        "--data",
        &table,
        "--schedule",
        "constant",
        "--epochs",
        "4",
        "--out",
        whole,
    ]);
    let of = |run: &str| fs::read(Path::new(run).join("checkpoints/last.safetensors")).unwrap();
    assert_eq!(of(whole), of(&path));
}

#[test]
fn a_run_begins_with_the_weights_of_another_that_fit() {
    let dir = tempfile::tempdir().unwrap();
    let first = run(&dir, "first", &["--model", "2-8-2", "--lr", "0.01"]);
    let weights = format!("{first}/checkpoints/best.safetensors");
    let frozen = ["--model", "2-8-2", "--from", &weights, "--freeze", "*"];
    let table = table(&dir);
    fails(
        &[&["train", "--data", &table], &frozen[..]].concat(),
        2,
        &["nothing", "--freeze"],
    );
    let said = {
        let out = dir.path().join("second");
        let out = out.to_str().unwrap();
        says(&[
            "train", "--data", &table, "--model", "2-8-2", "--from", &first, "--freeze", "0.*",
            "--epochs", "1", "--out", out,
        ])
    };
    assert!(said.contains("4 of 4 tensors are those of"), "{said}");
    let tensors = |path: &str| {
        let bytes = fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("0.weight").unwrap().data().to_vec()
    };
    let second = dir.path().join("second/checkpoints/last.safetensors");
    assert_eq!(tensors(&weights), tensors(second.to_str().unwrap()));
    let config = json(&fs::read_to_string(dir.path().join("second/config.json")).unwrap());
    assert_eq!(config["from"], first.as_str());
    let said = says(&[
        "train",
        "--data",
        &table,
        "--model",
        "2-8-4-2",
        "--from",
        &first,
        "--fast-dev-run",
    ]);
    assert!(
        said.contains("2 of 6 tensors") && said.contains("2.weight [4, 8]: the file has [2, 8]"),
        "{said}"
    );
    let nearly = format!("{first}t");
    let from = ["--from", &nearly, "--fast-dev-run"];
    fails(
        &[&["train", "--data", &table], &from[..]].concat(),
        1,
        &["E0306", "did you mean", "first?"],
    );
    let others = ["--model", "2-9-5-2", "--from", &first, "--fast-dev-run"];
    fails(
        &[&["train", "--data", &table], &others[..]].concat(),
        1,
        &["E0304", "has no weights of this model"],
    );
    let best = format!("{first}/checkpoints/best.ckpt");
    let whole = fs::read(&best).unwrap();
    fs::write(&best, &whole[..whole.len() - 9]).unwrap();
    fails(
        &["eval", &first],
        1,
        &["E0302", "try ", "/checkpoints/last.ckpt"],
    );
    fs::write(&best, whole).unwrap();
    fails(
        &["train", "--resume", &first, "--lr", "0.5"],
        2,
        &["E0305", "lr: the checkpoint has 0.01"],
    );
    fails(
        &[
            "train",
            "--data",
            &table,
            "--model",
            "2-9-2",
            "--from",
            &table,
            "--fast-dev-run",
        ],
        1,
        &["no safetensors file"],
    );
}

#[test]
fn a_run_of_another_instruction_set_goes_on_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = run(&dir, "run", &[]);
    let on_portable = |more: &[&str]| {
        let arguments = [&["train", "--resume", &path, "--epochs", "3"], more].concat();
        std::process::Command::new(env!("CARGO_BIN_EXE_ane-trainer"))
            .args(arguments)
            .env("ANE_TRAINER_ISA", "portable")
            .output()
            .unwrap()
    };
    let refused = on_portable(&[]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && told.contains("--allow-other-machine"),
        "{told}"
    );
    let done = on_portable(&["--allow-other-machine"]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success() && told.contains("note: the run was computed with"),
        "{told}"
    );
}
