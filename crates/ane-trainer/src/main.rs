//! `ane-trainer`: trains neural networks on Apple's Neural Engine, or on a faithful software Neural Engine.
//!
//! Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted.

#![forbid(unsafe_code)]

mod commands;
mod continuation;
mod failure;
mod isolated;
mod progress;
mod supervision;
mod threads;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

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

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Train(args) => commands::train::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Selftest(args) => commands::selftest::run(&args),
        Command::Worker => commands::worker::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            // Messages hold commands and paths that are copied: the terminal may break a line, the text does not. Setting
            // this fails only where it is set already.
            let _ = miette::set_hook(Box::new(|_| {
                Box::new(miette::MietteHandlerOpts::new().wrap_lines(false).build())
            }));
            let code = failure.exit_code();
            eprintln!("{:?}", miette::Report::new(failure));
            code
        }
    }
}
