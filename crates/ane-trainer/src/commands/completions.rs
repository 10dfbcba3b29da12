//! `completions`: what a shell needs to complete commands and flags.

use crate::{ended::Ended, failure::Failure, output};
use clap::Command;
use clap_complete::{Shell, generate};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell: bash, elvish, fish, powershell or zsh
    shell: Shell,
}

/// Prints the script for the commands of `program`.
pub(crate) fn run(args: &Args, mut program: Command) -> Result<Ended, Failure> {
    let mut script = Vec::new();
    generate(
        args.shell,
        &mut program,
        env!("CARGO_PKG_NAME"),
        &mut script,
    );
    output::write(&String::from_utf8_lossy(&script));
    Ok(Ended::Done)
}
