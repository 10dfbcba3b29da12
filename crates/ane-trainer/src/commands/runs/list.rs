//! `runs list`: a line per run.

use super::{FOLDER, all, shown};
use crate::{ended::Ended, failure::Failure, output::say};
use ane_train::run_dir::Summary;
use comfy_table::{Table, presets};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the runs
    #[arg(default_value = FOLDER)]
    folder: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let runs = all(&args.folder)?;
    if args.json {
        let runs: Vec<_> = runs.iter().map(object).collect();
        say!("{}", json!({"schema": 1, "runs": runs}));
        return Ok(Ended::Done);
    }
    if runs.is_empty() {
        say!("no runs in {}", args.folder.display());
        return Ok(Ended::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["run", "model", "seed", "epochs", "state", "test"]);
    for run in &runs {
        let (done, of) = run.epochs();
        let test = run
            .score()
            .map(|(name, value)| format!("{name} {}", shown(&name, value)));
        table.add_row([
            run.name(),
            run.setting("model"),
            run.setting("seed"),
            format!("{done}/{of}"),
            run.state.name().to_owned(),
            test.unwrap_or_default(),
        ]);
    }
    say!("{}", table.trim_fmt());
    Ok(Ended::Done)
}

/// A run as JSON.
pub(super) fn object(run: &Summary) -> serde_json::Value {
    let (done, of) = run.epochs();
    json!({
        "name": run.name(),
        "path": run.run.root(),
        "state": run.state.name(),
        "epochs": {"done": done, "of": of},
        "config": run.config,
        "last": run.last,
        "result": run.result,
    })
}
