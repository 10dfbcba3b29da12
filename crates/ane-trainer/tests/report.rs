//! The page of a run: what is on it, and that it needs nothing beside it.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/program.rs"]
mod program;

use program::{fails, says};
use std::{fs, path::Path};

fn train(run: &Path, besides: &[&str]) {
    let model = ["train", "--model", "784-16-10", "--batch", "1000"];
    let engine = ["--device", "software", "--out", run.to_str().unwrap()];
    says(&[&model[..], &["--epochs", "1"], &engine, besides].concat());
}

/// What a browser would load from elsewhere.
fn loads(html: &str) -> Vec<&str> {
    let starts = [
        "src=", "href=", "srcset=", "url(", "@import", "<script", "<link", "<iframe", "<object",
        "<embed", "://",
    ];
    let found = starts.iter().flat_map(|start| html.match_indices(start));
    let found = found.map(|(at, _)| &html[at..(at + 30).min(html.len())]);
    found
        .filter(|r| !r.starts_with("src=\"data:image/png;base64,") && !r.starts_with("url(#plot"))
        .collect()
}

#[test]
fn a_page_has_all_of_a_run_and_loads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("my run");
    train(&run, &["--metric", "accuracy"]);
    let out = run.to_str().unwrap();
    let told = says(&["report", out]);
    let file = run.join("report.html");
    assert_eq!(told.trim(), file.to_str().unwrap());
    let html = fs::read_to_string(&file).unwrap();
    assert_eq!(loads(&html), Vec::<&str>::new());
    let command = format!("--device software --out &#39;{out}&#39; --metric accuracy</pre>");
    for part in [
        "<title>my run</title>",
        "<span>accuracy</span>",
        command.as_str(),
        "validation, best",
        "<h2>Confusion</h2>",
        "<h2>Classes</h2>",
        "<h2>Calibration</h2>",
        "<h2>Most wrong</h2>",
        "<img alt=\"example ",
        "<h2>Time</h2>",
        "<th>dispatches</th>",
        "&quot;architecture&quot;",
    ] {
        assert!(html.contains(part), "`{part}` is not in the page of {out}");
    }
    assert_eq!(html.matches("<figure>").count(), 24);
    // A checkpoint belongs to its run; the page goes where it is asked to.
    let elsewhere = dir.path().join("page.html");
    let checkpoint = run.join("checkpoints/last.ckpt");
    says(&[
        "report",
        checkpoint.to_str().unwrap(),
        "-o",
        elsewhere.to_str().unwrap(),
    ]);
    assert!(
        fs::read_to_string(elsewhere)
            .unwrap()
            .contains("its last checkpoint")
    );
}

#[test]
fn a_run_keeps_the_commands_that_have_trained_it() {
    let dir = tempfile::tempdir().unwrap();
    let (run, on) = (dir.path().join("run"), dir.path().join("on"));
    train(&run, &["--max-steps", "3"]);
    let commands = |run: &Path| fs::read_to_string(run.join("commands.txt")).unwrap();
    assert!(commands(&run).starts_with("ane-trainer train --model 784-16-10 --batch 1000 "));
    let (from, to) = (run.to_str().unwrap(), on.to_str().unwrap());
    says(&["train", "--resume", from, "--out", to]);
    let expected = format!(
        "{}ane-trainer train --resume {from} --out {to}\n",
        commands(&run)
    );
    assert_eq!(commands(&on), expected);
}

#[test]
fn what_is_no_run_has_no_page() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    fails(
        &["report", absent.to_str().unwrap()],
        1,
        &["absent", "there is no run"],
    );
    fails(&["report", dir.path().to_str().unwrap()], 1, &["is no run"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
