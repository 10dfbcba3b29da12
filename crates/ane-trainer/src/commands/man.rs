//! `man`: the pages of the manual.

use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, say},
};
use clap::Command;
use clap_mangen::Man;
use std::{io, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory for a page for every command; without it the page of the program is printed
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

/// Writes the pages of `program`.
pub(crate) fn run(args: &Args, program: Command) -> Result<Ended, Failure> {
    let Some(out) = &args.out else {
        output::write(&String::from_utf8_lossy(&page(program)?));
        return Ok(Ended::Done);
    };
    std::fs::create_dir_all(out).map_err(|e| {
        Failure::because(
            format!("cannot make `{}`", out.display()),
            e,
            "pass a directory that can be written",
        )
    })?;
    clap_mangen::generate_to(program, out).map_err(|e| {
        Failure::because(
            format!("cannot write the pages into `{}`", out.display()),
            e,
            "pass a directory that can be written and has space left",
        )
    })?;
    say!("wrote a page for every command into {}", out.display());
    Ok(Ended::Done)
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    Man::new(command)
        .render(&mut text)
        .map_err(|e: io::Error| {
            Failure::because("cannot write a page", e, "report it with this message")
        })?;
    Ok(text)
}
