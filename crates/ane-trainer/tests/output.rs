//! What becomes of a command when what it prints cannot be read or written: a reader that has gone, a full disk, a log,
//! a dumb terminal.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs::File,
    io::pipe,
    path::Path,
    process::{Command, Output, Stdio},
};
use terminal::Terminal;

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ane-trainer"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A run of one epoch in seconds.
fn train(out: &Path) -> Command {
    let mut command = program(&["train", "--model", "784-10", "--batch", "1000"]);
    command.args(["--epochs", "2", "--out"]).arg(out);
    command
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A file each of whose writes fails as on a full disk, where the system has one.
fn full() -> Option<File> {
    File::options().write(true).open("/dev/full").ok()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every command that only prints, with arguments for which it succeeds.
fn printing<'a>(run: &'a str, scratch: &'a str) -> Vec<Vec<&'a str>> {
    vec![
        vec!["devices"],
        vec!["data", "list"],
        vec!["data", "verify", "mnist"],
        vec!["data", "fetch", "mnist"],
        vec!["doctor"],
        vec!["doctor", "--json"],
        vec!["inspect", "--model", "784-10"],
        vec!["inspect", "--model", "784-10", "--out", scratch],
        vec!["inspect", run],
        vec!["eval", run],
        vec!["eval", run, "--json"],
        vec!["train", "--model", "784-10", "--dry-run"],
        vec!["train", "--help"],
        vec!["--version"],
    ]
}

#[test]
fn a_reader_that_has_gone_ends_no_command() {
    let dir = tempfile::tempdir().unwrap();
    let (run, scratch) = (dir.path().join("run"), dir.path().join("program"));
    // Neither of its channels leads anywhere, and still it trains to the end.
    let status = train(&run)
        .stdout(closed())
        .stderr(closed())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(run.join("result.json").exists());
    for args in printing(run.to_str().unwrap(), scratch.to_str().unwrap()) {
        let quiet = program(&args).stdout(closed()).output().unwrap();
        assert_eq!(quiet.status.code(), Some(0), "{args:?}: {}", errors(&quiet));
        assert!(!errors(&quiet).contains("panicked"), "{}", errors(&quiet));
    }
    // A failure that cannot be told is one all the same.
    for (args, code) in [(&["eval", "no/such/run"][..], 1), (&["fly"], 2)] {
        let status = program(args).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_full_disk_fails_what_only_prints_and_no_training() {
    if full().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (run, scratch) = (dir.path().join("run"), dir.path().join("program"));
    let trained = train(&run).stdout(full().unwrap()).output().unwrap();
    assert_eq!(trained.status.code(), Some(0), "{}", errors(&trained));
    assert!(run.join("result.json").exists());
    let said = errors(&trained);
    assert!(
        said.contains("warning: cannot write to the standard output"),
        "{said}"
    );
    for args in printing(run.to_str().unwrap(), scratch.to_str().unwrap()) {
        let failed = program(&args).stdout(full().unwrap()).output().unwrap();
        let said = errors(&failed);
        assert_eq!(failed.status.code(), Some(1), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(said.contains("standard output"), "{args:?}: {said}");
    }
}

/// The lines about epochs.
fn epoch_lines(text: &str) -> usize {
    let is_whole = |line: &&str| line.starts_with("epoch") && line.contains("  val loss ");
    text.lines().filter(is_whole).count()
}

#[test]
fn a_log_has_a_line_per_epoch_wherever_the_errors_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut terminal = Terminal::open(80, 200);
    let mut child = train(&dir.path().join("run"))
        .env("TERM", "xterm")
        .stdout(File::create(&log).unwrap())
        .stderr(terminal.side())
        .spawn()
        .unwrap();
    terminal.read_to_end();
    assert!(child.wait().unwrap().success());
    assert_eq!(epoch_lines(&std::fs::read_to_string(&log).unwrap()), 2);
}

#[test]
fn a_dumb_terminal_has_a_line_per_epoch_and_nothing_that_it_cannot_show() {
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::open(80, 200);
    let mut child = train(&dir.path().join("run"))
        .env("TERM", "dumb")
        .stdout(terminal.side())
        .stderr(terminal.side())
        .spawn()
        .unwrap();
    let shown = terminal.read_to_end();
    assert!(child.wait().unwrap().success());
    assert_eq!(epoch_lines(&shown), 2, "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn details_are_said_where_they_are_asked_for_and_kept_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    let told = |name: &str, more: &str| {
        let run = dir.path().join(name);
        let (out, more) = (run.to_str().unwrap(), more.split_whitespace());
        let mut args = vec!["train", "--dataset", "iris", "--epochs", "1", "--out", out];
        args.extend(more);
        let done = program(&args).output().unwrap();
        (errors(&done), std::fs::read_to_string(run.join("log.txt")))
    };
    let details = [
        "setting training.epochs is [\"1\"], by --epochs",
        "opening device `software` for software, in this process",
        "; programs: 1",
    ];
    let in_loop = ["last.ckpt as last, of step ", "epoch 1 has ended"];
    for (name, more) in [
        ("plain", "--device software"),
        ("quiet", "--device software -q"),
        ("verbose", "--device software -v"),
        ("json", "--device software --json --verbose"),
    ] {
        let (said, log) = told(name, more);
        let log = log.unwrap();
        let is_verbose = more.contains("-v");
        for part in details {
            assert_eq!(said.contains(part), is_verbose, "{name}: {said}");
            assert!(log.contains(part), "{name}: {log}");
        }
        for part in in_loop {
            assert!(log.contains(part) && !said.contains(part), "{name}: {log}");
        }
        for line in log.lines() {
            let (time, text) = line.split_once(' ').unwrap();
            assert!(time.ends_with('Z') && time.contains('T'), "{line}");
            assert!(!text.is_empty(), "{line}");
        }
    }
    // What a run fails by is its last line.
    let (_, log) = told("steep", "--optimizer sgd --lr 1e9");
    let log = log.unwrap();
    assert!(log.lines().last().unwrap().contains(" error: "), "{log}");
}

/// What is said on both channels, which are a terminal or none.
fn shown(args: &[&str], is_terminal: bool, variables: &[(&str, &str)]) -> String {
    let mut command = program(args);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm").envs(variables.iter().copied());
    if !is_terminal {
        let done = command.output().unwrap();
        return errors(&done) + &String::from_utf8_lossy(&done.stdout);
    }
    let mut terminal = Terminal::open(80, 200);
    command.stdout(terminal.side()).stderr(terminal.side());
    let mut child = command.spawn().unwrap();
    // It holds the terminal's side as long as it is there.
    drop(command);
    let shown = terminal.read_to_end();
    child.wait().unwrap();
    shown
}

#[test]
fn colours_are_there_where_a_terminal_shows_them_or_somebody_asks() {
    // Help, the parser's own errors, and ours, which settings are checked by before a command begins.
    for args in [
        &["eval", "--help"][..],
        &["eval"],
        &["eval", "no/such/run"],
        &["train", "--set", "training.epoch=3"],
    ] {
        for (color, is_terminal, variables, wanted) in [
            ("auto", true, &[][..], true),
            ("auto", false, &[], false),
            ("auto", true, &[("NO_COLOR", "1")], false),
            ("auto", true, &[("TERM", "dumb")], false),
            ("auto", false, &[("CLICOLOR_FORCE", "1")], true),
            ("always", false, &[], true),
            ("never", true, &[], false),
        ] {
            let args = [args, &["--color", color]].concat();
            let said = shown(&args, is_terminal, variables);
            assert!(!said.is_empty());
            let found = said.contains('\u{1b}');
            assert_eq!(
                found, wanted,
                "{args:?} {is_terminal} {variables:?}: {said:?}"
            );
        }
    }
}
