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

mod code;
mod color;
mod command_line;
mod commands;
mod continuation;
mod divergence;
mod ended;
mod failure;
mod foreseen;
mod given;
mod invocation;
mod isolated;
mod log;
mod missing_run;
mod model_file;
mod numbers;
mod output;
mod panics;
mod program;
mod progress;
mod reachable;
mod run_name;
mod settings;
mod stored;
mod supervision;
mod table;
mod threads;
mod timed_training;

pub use program::Program;

use crate::{
    color::Color,
    failure::Failure,
    given::Given,
    invocation::Invocation,
    output::Manner,
    settings::{Settings, SettingsArgs},
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{ffi::OsString, io::IsTerminal};

/// Train neural networks on Apple's Neural Engine, or on a faithful software Neural Engine.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    /// Say results and errors only: no progress, no notes
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say details on standard error: what is opened, what a setting comes from, what takes time
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Print what comes of it as JSON, as docs/json.md describes
    #[arg(long, global = true)]
    json: bool,
    /// Colours of errors and help: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model; without arguments, an MLP on MNIST
    Train(Box<commands::train::Args>),
    /// Write a file of settings, with every key explained
    Init(commands::init::Args),
    /// Follow a run that trains elsewhere, until it ends
    Watch(commands::watch::Args),
    /// Evaluate a run's checkpoint on the test set
    Eval(commands::eval::Args),
    /// Compare a run's gradients on the engine with those that nothing rounds
    Verify(commands::verify::Args),
    /// Take a step again that a run has kept because it overflowed
    Replay(commands::replay::Args),
    /// Say what a run makes of new examples: pictures, tables, arrays
    Predict(commands::predict::Args),
    /// Go on with a text, by a language model
    Generate(commands::generate::Args),
    /// List, show, compare and remove runs
    Runs(commands::runs::Args),
    /// Say in what runs differ, as runs compare
    Compare(commands::runs::CompareArgs),
    /// Draw losses and metrics of runs as a picture
    Curves(commands::curves::Args),
    /// Write what a run came to as a page of HTML that needs nothing beside it
    Report(commands::report::Args),
    /// Write what a run has learned for PyTorch, Keras, ONNX Runtime, Core ML or NumPy
    Export(commands::export::Args),
    /// Show a model layer by layer: shapes, parameters, work, memory, and what runs where
    Summary(Box<commands::summary::Args>),
    /// Say where the time of training steps goes: data, engine, host, and op by op
    Profile(Box<commands::profile::Args>),
    /// Say how fast a configuration trains, and whether that has changed since a baseline
    Bench(Box<commands::bench::Args>),
    /// Print the MIL of a training step or a file, with the rules it keeps or breaks
    Inspect(Box<commands::inspect::Args>),
    /// Fetch, verify and list data sets, and inspect data of your own
    Data(commands::data::Args),
    /// List devices and targets
    Devices,
    /// Say what there is to run on, what is missing, and what a chip does that is only assumed
    Doctor(commands::doctor::Args),
    /// Compare every op and the training step on a device with the software engine
    Selftest(commands::selftest::Args),
    /// Say what lies behind the code of an error, or list the codes
    Explain(commands::explain::Args),
    /// Print what a shell needs to complete commands and flags
    Completions(commands::completions::Args),
    /// Print the page of the manual, or write one for every command
    Man(commands::man::Args),
    /// Run a device for a training in another process
    #[command(hide = true)]
    Worker,
}

/// Does what the arguments after the program's name say, and gives the exit code. `program` is what this process runs.
pub fn run(program: Program, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // An interpreter has its own way to say what went wrong.
    if matches!(program, Program::Executable) {
        panics::explain();
    }
    program.remember();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    command_line::remember(&arguments);
    let name = OsString::from(env!("CARGO_PKG_NAME"));
    let arguments: Vec<OsString> = std::iter::once(name).chain(arguments).collect();
    let command = command();
    let invocation = Invocation::of(&command, &arguments);
    invocation.settle_failures();
    let color = invocation.color();
    let Parsed {
        cli,
        given,
        settings,
    } = match parse(&command, &arguments) {
        Ok(parsed) => parsed,
        Err(Refused::Parser(said)) => return answer(&said, color),
        Err(Refused::Settings(failure)) => return end(Err(failure), color),
    };
    if let Err(failure) = must_be_sayable(&cli) {
        return end(Err(failure), cli.color);
    }
    output::settle(manner(&cli), invocation.command(), cli.verbose);
    if leaves_files(&cli.command) {
        log::begin();
    }
    settings::tell(&settings);
    if matches!(cli.command, Command::Train(_)) {
        settings::tell_unknown(&train_keys());
    }
    let leaves_files = leaves_files(&cli.command);
    let outcome = match cli.command {
        Command::Train(args) => commands::train::run(&args, &settings, &train_keys()),
        Command::Init(args) => commands::init::run(&args, &train_keys()),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Replay(args) => commands::replay::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Runs(args) => commands::runs::run(&args),
        Command::Compare(args) => commands::runs::compare(&args),
        Command::Curves(args) => commands::curves::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Summary(args) => commands::summary::run(&args),
        Command::Profile(args) => commands::profile::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args, &given),
        Command::Data(args) => commands::data::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Selftest(args) => commands::selftest::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
        Command::Worker => commands::worker::run(),
    };
    let outcome = outcome.and_then(|ended| printed(ended.code(), leaves_files));
    end(outcome, color)
}

/// Whether what the command comes to is more than what it prints.
fn leaves_files(command: &Command) -> bool {
    matches!(command, Command::Train(args) if args.trains())
}

/// How this command says things.
fn manner(cli: &Cli) -> Manner {
    match &cli.command {
        _ if cli.quiet => Manner::Quiet,
        _ if !cli.json => Manner::Lines,
        Command::Train(args) if args.trains() => Manner::Events,
        Command::Watch(_) => Manner::Events,
        _ => Manner::Object,
    }
}

/// Refuses ways to say things that contradict each other, or that the command does not know. The parser holds flags against
/// each other only where they stand on one side of the command.
fn must_be_sayable(cli: &Cli) -> Result<(), Failure> {
    if cli.verbose && cli.quiet {
        return Err(Failure::usage(
            "--quiet cannot be used with --verbose",
            "leave one of them out",
        ));
    }
    if cli.json && cli.quiet {
        return Err(Failure::usage(
            "--quiet cannot be used with --json, which prints objects and nothing else",
            "leave one of them out",
        ));
    }
    let what = match &cli.command {
        Command::Completions(_) => "a script for a shell",
        Command::Man(_) => "pages of a manual",
        _ => return Ok(()),
    };
    match cli.json {
        true => Err(Failure::usage(
            format!("--json means nothing here: what is printed is {what}"),
            "leave it out",
        )),
        false => Ok(()),
    }
}

/// The parser, with what it adds by itself.
fn command() -> clap::Command {
    let mut command = with_negative_numbers(Cli::command());
    command.build();
    command
}

/// The same with options that take numbers below 0: what is expected of a number says its own parser, where the one of the
/// command line would look for a flag of that name.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let with = |arg: clap::Arg| {
        let takes_values = arg.get_action().takes_values() && !arg.is_positional();
        if takes_values {
            arg.allow_negative_numbers(true)
        } else {
            arg
        }
    };
    command
        .mut_args(with)
        .mut_subcommands(with_negative_numbers)
}

/// What was asked for.
struct Parsed {
    cli: Cli,
    given: Given,
    /// Of a training: what holds of flags and of what stands beside them.
    settings: Settings,
}

/// Why nothing can be done.
enum Refused {
    Parser(Box<clap::Error>),
    Settings(Failure),
}

impl From<clap::Error> for Refused {
    fn from(said: clap::Error) -> Self {
        Self::Parser(Box::new(said))
    }
}

/// Reads the arguments and, for a training, the settings that stand beside them.
fn parse(command: &clap::Command, arguments: &[OsString]) -> Result<Parsed, Refused> {
    let mut matches = command.clone().try_get_matches_from(arguments)?;
    let mut given = Given::default();
    let mut settings = Settings::new();
    if let Some((name, of_command)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand(name)
    {
        given = Given::to(subcommand, of_command);
        if name == "train" {
            let keys = settings::keys(subcommand);
            let args = SettingsArgs::from_arg_matches(of_command)?;
            let beside = settings::beside_flags(subcommand, of_command, &args);
            settings = beside.map_err(Refused::Settings)?;
            let all = settings::with_settings(arguments, &settings, &keys);
            matches =
                command.clone().try_get_matches_from(all).map_err(
                    |said| match settings::explained(&said, &settings, &keys) {
                        Some(failure) => Refused::Settings(failure),
                        None => said.into(),
                    },
                )?;
            if let Some((_, of_command)) = matches.subcommand() {
                settings::add_flags(&mut settings, of_command, &keys);
            }
        }
    }
    Ok(Parsed {
        cli: Cli::from_arg_matches(&matches)?,
        given,
        settings,
    })
}

/// The keys of settings.
fn train_keys() -> Vec<settings::Key> {
    command()
        .find_subcommand("train")
        .map(settings::keys)
        .unwrap_or_default()
}

/// Reports a failure, and gives the exit code.
fn end(outcome: Result<u8, Failure>, color: Color) -> u8 {
    outcome.unwrap_or_else(|failure| {
        // Messages hold commands and paths that are copied: the terminal may break a line, the text does not. Setting
        // this fails only where it is set already.
        let colored = color.on(std::io::stderr().is_terminal());
        let options = miette::MietteHandlerOpts::new()
            .wrap_lines(false)
            .color(colored);
        let _ = miette::set_hook(Box::new(move |_| Box::new(options.clone().build())));
        let code = failure.exit_code();
        if !failure.is_in_result() {
            output::failure(&failure.object());
        }
        log::note(&format!("error: {}", failure.message()));
        output::error(&format!("{:?}", miette::Report::new(failure)));
        code
    })
}

/// What the parser has to say: help and version as results, anything else as wrong usage.
fn answer(said: &clap::Error, color: Color) -> u8 {
    if said.use_stderr() {
        output::failure(&Failure::of_parser(said).object());
        let colored = color.on(std::io::stderr().is_terminal());
        output::error(text(said, colored).trim_end());
    } else {
        // Help is text, whatever results are printed as.
        output::settle(Manner::Lines, None, false);
        output::write(&text(said, color.on(std::io::stdout().is_terminal())));
    }
    let code = u8::try_from(said.exit_code()).unwrap_or(1);
    end(printed(code, false), color)
}

/// The parser's words.
fn text(said: &clap::Error, colored: bool) -> String {
    match colored {
        true => said.render().ansi().to_string(),
        false => said.render().to_string(),
    }
}

/// The end of a command that has said what it had to say. What a training has learned is in its files, so that it has not
/// failed when a part of its lines is lost.
fn printed(code: u8, leaves_files: bool) -> Result<u8, Failure> {
    match output::lost() {
        None => Ok(code),
        Some(e) if leaves_files => {
            output::error(&format!(
                "warning: cannot write to the standard output: {e}; the run directory holds what the run came to"
            ));
            Ok(code)
        }
        Some(e) => Err(Failure::because(
            "cannot write to the standard output",
            e,
            "make space where it leads, or send it elsewhere",
        )),
    }
}
