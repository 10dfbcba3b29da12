//! `runs rm`: removes runs that nobody trains.

use super::{find, remove};
use crate::{ended::Ended, failure::Failure, output::say};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their directories, or their names in `runs`
    #[arg(required = true)]
    runs: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    // All of them are runs before the first goes.
    let runs = args.runs.iter().map(|path| find(path));
    for run in runs.collect::<Result<Vec<_>, _>>()? {
        remove(&run)?;
        say!("removed {}", run.run.root().display());
    }
    Ok(Ended::Done)
}
