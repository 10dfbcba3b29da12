//! `cargo xtask soak`: the long forms of the tests, in release mode.
//!
//! A test that has a long form looks at the two variables set here; without them it runs its short form.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::process;

/// What the command line of `soak` says.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each test with a long form may run.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

/// Runs every test of the workspace with the long forms switched on.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let mut command = process::cargo(root, &["test", "--release", "--workspace", "--locked"]);
    command
        .env("ANE_TRAINER_SOAK", "1")
        .env("ANE_TRAINER_SOAK_MINUTES", options.minutes.to_string());
    process::run(&mut command)
}
