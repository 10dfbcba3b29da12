//! `cargo xtask test`: every check that a change has to pass, stage by stage, with the time each took.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::unavailable::Unavailable;
use crate::{gnustep, mac_check, process, python_tests, table, tidy};

/// What the command line of `test` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run this stage alone; may be repeated.
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
    /// Leave this stage out; may be repeated.
    #[arg(long, value_name = "STAGE")]
    skip: Vec<Stage>,
}

/// A stage; the order here is the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// `cargo fmt --check`.
    Fmt,
    /// The rules of `cargo xtask tidy`.
    Tidy,
    /// `cargo clippy`, warnings are errors.
    Clippy,
    /// `cargo test`, with the examples in the documentation.
    Test,
    /// The tests of the Objective-C code, under GNUstep, where Debian's packages can be had.
    Objc,
    /// The rules of `cargo xtask mac-check`, where its tools can be had.
    MacCheck,
    /// `cargo doc`, warnings are errors.
    Doc,
    /// The tests of the Python package on its wheel, and the other Python tests.
    Python,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Options {
    fn stages(&self) -> Vec<Stage> {
        let wanted = |stage: &Stage| {
            (self.only.is_empty() || self.only.contains(stage)) && !self.skip.contains(stage)
        };
        Stage::value_variants()
            .iter()
            .copied()
            .filter(wanted)
            .collect()
    }
}

/// What became of a stage that found nothing wrong.
pub(crate) enum Outcome {
    /// It ran and found nothing.
    Passed,
    /// It has nothing to do in this tree, and is left out of the summary.
    Absent,
}

/// Runs the stages in order up to the first that fails, then prints the time of each.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let stages = options.stages();
    if stages.is_empty() {
        bail!("no stage is left to run");
    }
    let begin = Instant::now();
    let mut rows = Vec::new();
    let mut failure = None;
    for stage in stages {
        let name = stage.name();
        if failure.is_some() {
            rows.push(vec![name, "not run".to_owned()]);
            continue;
        }
        println!("\n== {name}");
        let start = Instant::now();
        let asked_for = options.only.contains(&stage);
        let state = match run_stage(root, stage) {
            Ok(Outcome::Absent) => continue,
            Ok(Outcome::Passed) => "ok".to_owned(),
            Err(error) if !asked_for && error.is::<Unavailable>() => format!("skipped: {error}"),
            Err(error) => {
                failure = Some(error.context(format!("stage {name}")));
                "FAILED".to_owned()
            }
        };
        rows.push(vec![name, state, seconds(start.elapsed())]);
    }
    rows.push(vec![
        "all".to_owned(),
        String::new(),
        seconds(begin.elapsed()),
    ]);
    println!("\n{}", table::render(&["stage", "result", "time"], &rows));
    failure.map_or(Ok(()), Err)
}

fn run_stage(root: &Path, stage: Stage) -> Result<Outcome> {
    match stage {
        Stage::Fmt => {
            ensure_component(root, "fmt", "rustfmt")?;
            process::run(&mut process::cargo(root, &["fmt", "--all", "--check"]))?;
        }
        Stage::Tidy => tidy::run(root)?,
        Stage::Clippy => {
            ensure_component(root, "clippy", "clippy")?;
            let scope = ["clippy", "--workspace", "--all-targets", "--locked"];
            process::run(process::cargo(root, &scope).args(["--", "-D", "warnings"]))?;
        }
        Stage::Test => process::run(&mut process::cargo(
            root,
            &["test", "--workspace", "--locked"],
        ))?,
        Stage::MacCheck => mac_check::run(root)?,
        Stage::Doc => {
            let mut command =
                process::cargo(root, &["doc", "--workspace", "--no-deps", "--locked"]);
            process::run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
        }
        Stage::Objc => gnustep::test(root)?,
        Stage::Python => return python_tests::run(root, &python_tests::Options::default()),
    }
    Ok(Outcome::Passed)
}

/// Installs a component of the toolchain when the cargo command it brings is missing.
fn ensure_component(root: &Path, subcommand: &str, component: &str) -> Result<()> {
    let is_there = || process::succeeds(&mut process::cargo(root, &[subcommand, "--version"]));
    if is_there() {
        return Ok(());
    }
    println!("`cargo {subcommand}` is missing: installing {component} with rustup");
    process::run(
        Command::new("rustup")
            .current_dir(root)
            .args(["component", "add", component]),
    )
    .with_context(|| format!("{component} is needed and could not be installed"))?;
    if !is_there() {
        bail!("`cargo {subcommand}` still does not start after `rustup component add {component}`");
    }
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_keep_their_order_whatever_the_options_say() {
        let options = Options {
            only: vec![Stage::Doc, Stage::Fmt, Stage::Test],
            skip: vec![Stage::Test],
        };
        assert_eq!(options.stages(), [Stage::Fmt, Stage::Doc]);
        let all = Options {
            only: Vec::new(),
            skip: Vec::new(),
        }
        .stages();
        assert_eq!(all, Stage::value_variants());
    }
}
