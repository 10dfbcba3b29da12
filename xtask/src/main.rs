//! The task runner of the workspace, started as `cargo xtask`.
//!
//! `test` is the whole gate, `tidy` checks the rules that compilers do not know, `mac-check` compiles for macOS elsewhere,
//! `python` tests the Python package, `gnustep` makes Objective-C for Linux, `pictures` renders what people see of a run,
//! `soak` runs the long forms of the tests, and `bench` compares the trainer with its peers on this machine.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod debian;
mod gnustep;
mod mac_check;
mod pictures;
mod process;
mod python;
mod python_tests;
mod soak;
mod table;
mod test;
mod tidy;
mod tree;
mod unavailable;

/// The tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every check that a change has to pass.
    Test(test::Options),
    /// Check the rules of this tree that compilers do not know.
    Tidy,
    /// Compile, lint and link everything for macOS, on a machine that is none.
    MacCheck,
    /// Build the wheel of the Python package, install it in an environment of its own and run the Python tests.
    Python(python_tests::Options),
    /// Run the tests in release mode in their long forms.
    Soak(soak::Options),
    /// Measure against peers on this machine.
    Bench(bench::Options),
    /// Train a small run and render what people see of it.
    Pictures(pictures::Options),
    /// Prepare Objective-C for Linux out of Debian's packages and print where it is.
    Gnustep,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let root = process::workspace_root()?;
    match arguments.task {
        Task::Test(options) => test::run(&root, &options),
        Task::Tidy => tidy::run(&root),
        Task::MacCheck => mac_check::run(&root),
        Task::Python(options) => python_tests::run(&root, &options).map(drop),
        Task::Soak(options) => soak::run(&root, &options),
        Task::Bench(options) => bench::run(&root, &options),
        Task::Pictures(options) => pictures::run(&root, &options),
        Task::Gnustep => gnustep::run(&root),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
