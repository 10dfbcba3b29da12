//! `runs rm`: removes runs that nobody trains.

use super::{find, remove};
use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, say},
};
use serde_json::json;
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
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    let mut removed = Vec::new();
    for run in &runs {
        let gone = remove(run)?;
        // Said one by one: what is gone is known where the next one fails.
        say!("removed {gone}");
        removed.push(output::path(run.run.root()));
    }
    output::result(&json!({"removed": removed}), || {});
    Ok(Ended::Done)
}
