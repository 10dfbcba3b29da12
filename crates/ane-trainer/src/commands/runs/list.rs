//! `runs list`: a line per run.

use super::{FOLDER, all, flat::data_name, shown};
use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, say},
    table::table,
};
use ane_train::run_dir::Summary;
use comfy_table::ColumnConstraint;
use jiff::ZonedDateTime;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Widest name of a run that is not broken.
const WIDEST_NAME: usize = 32;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the runs
    #[arg(default_value = FOLDER)]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let runs = all(&args.folder)?;
    let objects: Vec<_> = runs.iter().map(object).collect();
    let report = json!({"folder": output::path(&args.folder), "runs": objects});
    output::result(&report, || tell(&args.folder, &runs));
    Ok(Ended::Done)
}

fn tell(folder: &Path, runs: &[Summary]) {
    if runs.is_empty() {
        return say!("no runs in {}", folder.display());
    }
    let mut table = table([
        "run", "data", "model", "seed", "date", "epochs", "state", "test",
    ]);
    for run in runs {
        let (done, of) = run.epochs();
        let test = run
            .score()
            .map(|(name, value)| format!("{name} {}", shown(&name, value)));
        table.add_row([
            run.name(),
            data_name(&run.setting("dataset")),
            run.setting("model"),
            run.setting("seed"),
            run.begun.map(day).unwrap_or_default(),
            format!("{done}/{of}"),
            run.state.name().to_owned(),
            test.unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    // What is copied or compared stands in one piece.
    let widest = runs.iter().map(|run| run.name().chars().count()).max();
    let is_narrow = widest.is_some_and(|n| n <= WIDEST_NAME);
    for whole in [Some(0).filter(|_| is_narrow), Some(4), Some(6)] {
        if let Some(column) = whole.and_then(|at| table.column_mut(at)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    say!("{}", table.trim_fmt());
}

/// The day of a time, where we are.
fn day(time: SystemTime) -> String {
    let day = ZonedDateTime::try_from(time).map(|t| t.date());
    day.map_or_else(|_| String::new(), |day| day.to_string())
}

/// A run as JSON.
pub(super) fn object(run: &Summary) -> serde_json::Value {
    let (done, of) = run.epochs();
    json!({
        "name": run.name(),
        "path": output::path(run.run.root()),
        "state": run.state.name(),
        "epochs": {"done": done, "of": of},
        "config": run.config,
        "last": run.last,
        "result": run.result,
        "ending": run.ending,
    })
}
