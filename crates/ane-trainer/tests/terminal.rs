//! The program on a terminal: a run on the whole screen, steered by keys, and lines that fit eighty columns.
//!
//! `setsid` makes the terminal that of the program, as a shell does; where there is none, nothing is tested.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/terminal.rs"]
mod terminal;

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use terminal::Terminal;

/// Whether a terminal can be made that of a program.
fn is_possible() -> bool {
    let version = Command::new("setsid").arg("--version").output();
    version.is_ok_and(|said| said.status.success())
}

/// Starts the program on a terminal.
fn start(terminal: &Terminal, folder: &Path, arguments: &[&str]) -> Child {
    Command::new("setsid")
        .args(["--ctty", env!("CARGO_BIN_EXE_ane-trainer")])
        .args(arguments)
        .current_dir(folder)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(terminal.side())
        .stdout(terminal.side())
        .stderr(terminal.side())
        .spawn()
        .unwrap()
}

/// A table of two classes.
fn table(dir: &TempDir) -> String {
    let mut text = String::from("x,y,label\n");
    for i in 0..240 {
        let x = f64::from((i * 37) % 101) / 50.0 - 1.0;
        let label = if x > 0.0 { "above" } else { "below" };
        text.push_str(&format!("{x},{},{label}\n", i % 7));
    }
    let path = dir.path().join("t.csv");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A run on the whole terminal that goes on until it is stopped; a test that waits in vain ends with it.
fn train(terminal: &Terminal, table: &str, run: &Path) -> Child {
    let run = run.to_str().unwrap();
    let forever = ["--epochs", "100000", "--max-time", "3m", "--tui"];
    let what = ["train", "--data", table, "--out", run];
    start(terminal, Path::new("."), &[&what[..], &forever].concat())
}

/// The run has given the terminal back, and its last lines are on it.
fn must_be_given_back(terminal: &mut Terminal) {
    terminal.read_to_end();
    let screen = terminal.screen();
    let shown = screen.contents();
    assert!(
        !screen.alternate_screen() && !screen.hide_cursor(),
        "{shown}"
    );
    assert!(shown.contains("interrupted; continue with:"), "{shown}");
    assert!(shown.contains("placement: "), "{shown}");
}

#[test]
fn a_run_is_watched_and_steered_by_keys() {
    if !is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (table, run) = (table(&dir), dir.path().join("run"));
    let mut terminal = Terminal::open(80, 24);
    let mut training = train(&terminal, &table, &run);
    terminal.wait_for(": checkpoint best");
    terminal.wait_for("• val ");
    assert!(terminal.screen().alternate_screen());
    terminal.press("p");
    terminal.wait_for("PAUSED");
    let last = run.join("checkpoints/last.ckpt");
    fs::remove_file(&last).unwrap();
    terminal.press("c");
    terminal.wait_for(": checkpoint last");
    assert!(last.exists());
    terminal.press("mm");
    terminal.wait_for(" loss scale ─");
    terminal.press("p");
    terminal.wait_for("training");
    terminal.resize(120, 40);
    terminal.wait_for(" accuracy ─");
    terminal.press("q");
    must_be_given_back(&mut terminal);
    assert_eq!(training.wait().unwrap().code(), Some(130));
}

#[test]
fn whatever_ends_a_run_gives_the_terminal_back() {
    if !is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    for by in ["Ctrl-C", "SIGTERM"] {
        let run = dir.path().join(by);
        let mut terminal = Terminal::open(80, 24);
        let mut training = train(&terminal, &table, &run);
        terminal.wait_for("checkpoint");
        match by {
            "Ctrl-C" => terminal.press("\u{3}"),
            _ => {
                let id = i32::try_from(training.id()).unwrap();
                kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
            }
        }
        must_be_given_back(&mut terminal);
        assert_eq!(training.wait().unwrap().code(), Some(130), "{by}");
    }
}

#[test]
fn without_a_terminal_nothing_begins() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let terminal = Terminal::open(80, 24);
    let dumb = |command: &mut Command| {
        command.env("TERM", "dumb");
        command.stdin(terminal.side()).stdout(terminal.side());
    };
    let piped = |command: &mut Command| {
        command.env("TERM", "xterm").stdin(Stdio::null());
    };
    for (name, change) in [("dumb", &dumb as &dyn Fn(&mut Command)), ("piped", &piped)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
        command.args(["train", "--tui", "--out"]).arg(&run);
        change(&mut command);
        let told = command.stderr(Stdio::piped()).spawn().unwrap();
        let told = told.wait_with_output().unwrap();
        assert_eq!(told.status.code(), Some(2), "{name}");
        let told = String::from_utf8(told.stderr).unwrap();
        assert!(told.contains("--tui needs a terminal"), "{name}: {told}");
        assert!(!run.exists(), "{name}");
    }
}

/// What is said of a run, with arguments for which it succeeds.
fn sayings<'a>(table: &'a str, run: &'a str, other: &'a str) -> Vec<Vec<&'a str>> {
    vec![
        vec!["train", "--data", table, "--epochs", "3", "--out", run],
        vec!["train", "--data", table, "--epochs", "2", "--out", other],
        vec!["watch", run],
        vec!["eval", run],
        vec!["verify", run],
        vec!["runs", "show", run],
        vec!["runs", "compare", run, other],
        vec!["summary", run],
        vec!["data", "list"],
        vec!["data", "inspect", table],
        vec!["predict", run, table],
        vec!["devices"],
        vec!["doctor"],
        vec!["explain"],
        vec!["explain", "E0101"],
        vec!["--help"],
        vec!["train", "--help"],
        vec!["train", "-h"],
        vec!["runs", "--help"],
        vec!["eval", "--help"],
    ]
}

#[test]
fn nothing_that_is_said_wraps_at_eighty_columns() {
    if !is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let table = table(&dir);
    let [run, other] = [
        "runs/2026-11-30-t-quiet-otter",
        "runs/2026-11-30-t-bold-heron",
    ];
    let all = sayings(&table, run, other);
    let wide = all.iter().flat_map(|said| wrapped(dir.path(), said));
    let wide: Vec<String> = wide.collect();
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// The rows of what is said that are longer than a line of eighty columns.
fn wrapped(folder: &Path, arguments: &[&str]) -> Vec<String> {
    // All of it stays on so many lines.
    let mut terminal = Terminal::open(80, 900);
    let mut said = start(&terminal, folder, arguments);
    terminal.read_to_end();
    let screen = terminal.screen();
    let shown = screen.contents();
    assert!(said.wait().unwrap().success(), "{arguments:?}: {shown}");
    let rows = screen.rows(0, 80).zip(0..900);
    let wide = rows.filter(|(_, row)| screen.row_wrapped(*row));
    wide.map(|(text, _)| format!("{arguments:?}: {text}"))
        .collect()
}

#[test]
fn paths_that_are_longer_than_a_line_do_not_wrap_but_where_they_are_copied() {
    if !is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let here = table(&dir);
    let folder = dir
        .path()
        .join(format!("{0}/{0}/{0}/{0}", "a-rather-long-name"));
    fs::create_dir_all(&folder).unwrap();
    fs::rename(here, folder.join("t.csv")).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [table, run, other] = ["t.csv", "runs/quiet-otter", "runs/bold-heron"].map(path);
    assert!(table.len() > 80 && run.len() > 80);
    let all = sayings(&table, &run, &other);
    // Answers begin with the example, which has the name that was given.
    let all = all.iter().filter(|said| said[0] != "predict");
    let wide: Vec<String> = all.flat_map(|said| wrapped(dir.path(), said)).collect();
    assert!(wide.is_empty(), "{}", wide.join("\n"));
    let copied = wrapped(dir.path(), &["report", &run]);
    assert_eq!(copied.len(), 1, "{}", copied.join("\n"));
}
