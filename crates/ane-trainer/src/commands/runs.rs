//! `runs`: what runs there are, what each came to, and which of them go.

mod compare;
mod flat;
mod judged;
mod list;
mod prune;
mod resampled;
mod rm;
mod show;

use crate::{
    code::Code,
    ended::Ended,
    failure::Failure,
    missing_run::{FOLDER, missing_run},
    output::{self, remark},
};
use ane_train::run_dir::{RunDir, Summary};
use clap::Subcommand;
pub(crate) use compare::{Args as CompareArgs, run as compare};
pub(crate) use flat::data_name;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the runs of a folder with what they came to
    List(list::Args),
    /// Say what a run is and what it came to
    Show(show::Args),
    /// Say in what runs differ, and whether their results do
    Compare(compare::Args),
    /// Remove all but the best of the runs that are judged by the same, with --yes
    Prune(prune::Args),
    /// Remove runs, at once and for good; prune shows first what it would remove
    Rm(rm::Args),
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Prune(args) => prune::run(args),
        Command::Rm(args) => rm::run(args),
    }
}

/// The run in a directory, or of this name in the usual folder.
fn find(path: &Path) -> Result<Summary, Failure> {
    let in_folder = PathBuf::from(FOLDER).join(path);
    let found = Summary::read(path).or_else(|| Summary::read(&in_folder));
    found.ok_or_else(|| missing_run(path))
}

/// The runs of a folder.
fn all(folder: &Path) -> Result<Vec<Summary>, Failure> {
    Summary::all(folder).map_err(|e| {
        Failure::because(
            format!("cannot read the folder `{}`", folder.display()),
            e,
            "name the folder that the runs are in",
        )
        .with_code(Code::NotThere)
    })
}

/// A number as a table has it.
fn shown(name: &str, value: f64) -> String {
    match ane_train::metric::named(name) {
        Ok(metric) => metric.show(value),
        Err(_) => format!("{value:.4}"),
    }
}

/// Removes a run that nobody trains; what else its directory holds stays, and is named. Gives what is gone, for people.
fn remove(run: &Summary) -> Result<String, Failure> {
    let root = run.run.root();
    // Held until it is gone, so that nobody begins to train there.
    let taken = RunDir::take(root)?;
    let others = taken.remove()?;
    if let Some(first) = others.first() {
        remark!(
            "note: `{}` stays, as {} in it that the run has not written, such as `{}`",
            root.display(),
            match others.len() {
                1 => "a file is".to_owned(),
                n => format!("{n} files are"),
            },
            first.display()
        );
    }
    let path = output::path(root);
    Ok(match others.is_empty() {
        true => path,
        false => format!("the files of the run in {path}"),
    })
}
