//! `cargo xtask soak`: the long forms of the tests, in release mode.
//!
//! A test that has a long form looks at the two variables set here; without them it runs its short form. The routes in
//! Objective-C are a build of their own, where GNUstep can be had.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::unavailable::Unavailable;
use crate::{gnustep, process};

/// What the command line of `soak` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each test with a long form may run.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

/// Runs every test of the workspace with the long forms switched on, and then those of the Objective-C code.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let plain = process::cargo(root, &["test", "--release", "--workspace", "--locked"]);
    process::run(&mut long(plain, options))?;
    match gnustep::cargo(root, &["test", "--release"]) {
        Ok(objc) => process::run(&mut long(objc, options)),
        Err(error) if error.is::<Unavailable>() => {
            println!("the routes client and memory were NOT run: {error}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The command with the long forms switched on.
fn long(mut tests: Command, options: &Options) -> Command {
    tests
        .env("ANE_TRAINER_SOAK", "1")
        .env("ANE_TRAINER_SOAK_MINUTES", options.minutes.to_string());
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_forms_are_switched_on_for_as_long_as_was_asked() {
        let tests = long(Command::new("cargo"), &Options { minutes: 7 });
        assert_eq!(
            process::describe(&tests),
            "ANE_TRAINER_SOAK=1 ANE_TRAINER_SOAK_MINUTES=7 cargo"
        );
    }
}
