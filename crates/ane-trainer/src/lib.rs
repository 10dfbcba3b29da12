//! `ane-trainer`: trains neural networks on Apple's Neural Engine, or on a faithful software Neural Engine.
//!
//! The whole program is one function, [`run`], for the binary and for the Python package, whose interpreter is the process
//! then. It writes to the standard output and the standard error of the process, and a run of training takes Ctrl-C.
//!
//! Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted.
//!
//! ```
//! use ane_trainer::{Program, run};
//!
//! assert_eq!(run(Program::Executable, ["data".into(), "list".into()]), 0);
//! ```

#![forbid(unsafe_code)]
// What is printed goes through `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod continuation;
mod divergence;
mod ended;
mod failure;
mod isolated;
mod model_file;
mod numbers;
mod output;
mod program;
mod progress;
mod supervision;
mod threads;

pub use program::Program;

use crate::{failure::Failure, output::remark};
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Train neural networks on Apple's Neural Engine, or on a faithful software Neural Engine.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model; without arguments, an MLP on MNIST
    Train(commands::train::Args),
    /// Evaluate a run's checkpoint on the test set
    Eval(commands::eval::Args),
    /// Say what a run makes of new examples: pictures, tables, arrays
    Predict(commands::predict::Args),
    /// Write what a run has learned as a file of PyTorch or Keras
    Export(commands::export::Args),
    /// Print the MIL of a training step or a file, with the rules it keeps or breaks
    Inspect(commands::inspect::Args),
    /// Fetch, verify and list data sets
    Data(commands::data::Args),
    /// List devices and targets
    Devices,
    /// Say what there is to run on, what is missing, and what a chip does that is only assumed
    Doctor(commands::doctor::Args),
    /// Compare every op and the training step on a device with the software engine
    Selftest(commands::selftest::Args),
    /// Run a device for a training in another process
    #[command(hide = true)]
    Worker,
}

/// Does what the arguments after the program's name say, and gives the exit code. `program` is what this process runs.
pub fn run(program: Program, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    program.remember();
    let name = OsString::from(env!("CARGO_PKG_NAME"));
    let cli = match Cli::try_parse_from(std::iter::once(name).chain(arguments)) {
        Ok(cli) => cli,
        Err(said) => return answer(&said),
    };
    let leaves_files = matches!(&cli.command, Command::Train(args) if args.leaves_files());
    let outcome = match cli.command {
        Command::Train(args) => commands::train::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Selftest(args) => commands::selftest::run(&args),
        Command::Worker => commands::worker::run(),
    };
    end(outcome.and_then(|ended| printed(ended.code(), leaves_files)))
}

/// Reports a failure, and gives the exit code.
fn end(outcome: Result<u8, Failure>) -> u8 {
    outcome.unwrap_or_else(|failure| {
        // Messages hold commands and paths that are copied: the terminal may break a line, the text does not. Setting
        // this fails only where it is set already.
        let _ = miette::set_hook(Box::new(|_| {
            Box::new(miette::MietteHandlerOpts::new().wrap_lines(false).build())
        }));
        let code = failure.exit_code();
        remark!("{:?}", miette::Report::new(failure));
        code
    })
}

/// What the parser has to say: help and version as results, anything else as wrong usage.
fn answer(said: &clap::Error) -> u8 {
    if said.use_stderr() {
        // There is nowhere left to say that this failed.
        let _ = said.print();
    } else {
        output::write(&said.render().to_string());
    }
    let code = u8::try_from(said.exit_code()).unwrap_or(1);
    end(printed(code, false))
}

/// The end of a command that has said what it had to say. What a training has learned is in its files, so that it has not
/// failed when a part of its lines is lost.
fn printed(code: u8, leaves_files: bool) -> Result<u8, Failure> {
    match output::lost() {
        None => Ok(code),
        Some(e) if leaves_files => {
            remark!(
                "warning: cannot write to the standard output: {e}; the run directory holds what the run came to"
            );
            Ok(code)
        }
        Some(e) => Err(Failure::because(
            "cannot write to the standard output",
            e,
            "make space where it leads, or send it elsewhere",
        )),
    }
}
