//! `runs prune`: of the runs on each data set, the best stay.

use super::{FOLDER, all, remove, shown};
use crate::{
    ended::Ended,
    failure::Failure,
    numbers,
    output::{self, say},
};
use ane_train::{
    metric::{self, Better},
    run_dir::{RunState, Summary},
};
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the runs
    #[arg(default_value = FOLDER)]
    folder: PathBuf,
    /// Runs of each data set that stay, those with the best test results
    #[arg(long, default_value_t = 5, value_parser = numbers::whole(1..=u64::MAX))]
    keep: u64,
    /// Remove the others; without this they are listed
    #[arg(long)]
    yes: bool,
}

/// What went, or would go.
#[derive(Serialize)]
struct Report {
    /// Whether they are gone.
    removed: bool,
    runs: Vec<Worse>,
}

/// A run that is not among the best.
#[derive(Serialize)]
struct Worse {
    path: String,
    metric: String,
    value: f64,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let mut by_data: BTreeMap<String, Vec<(String, f64, Summary)>> = BTreeMap::new();
    for run in all(&args.folder)? {
        // What can go on, or goes on, is nobody's to throw away.
        let (RunState::Finished, Some((name, value))) = (run.state, run.score()) else {
            continue;
        };
        let runs = by_data.entry(run.setting("dataset")).or_default();
        runs.push((name, value, run));
    }
    let mut report = Report {
        removed: args.yes,
        runs: Vec::new(),
    };
    for runs in by_data.values_mut() {
        runs.sort_by(order);
        for (metric, value, run) in runs.iter().skip(args.keep as usize) {
            if args.yes {
                remove(run)?;
            }
            let worse = Worse {
                path: output::path(run.run.root()),
                metric: metric.clone(),
                value: *value,
            };
            worse.tell(args.yes);
            report.runs.push(worse);
        }
    }
    output::result(&report, || match (&report.runs[..], args.yes) {
        ([], _) => say!("nothing to remove"),
        (_, false) => say!("pass --yes to remove them"),
        (_, true) => {}
    });
    Ok(Ended::Done)
}

impl Worse {
    /// Said one by one: what is gone is known where the next one fails.
    fn tell(&self, removed: bool) {
        let what = if removed { "removed" } else { "would go:" };
        say!(
            "{what} {} ({} {})",
            self.path,
            self.metric,
            shown(&self.metric, self.value)
        );
    }
}

/// The better one first; results of one kind before those of another.
fn order(a: &(String, f64, Summary), b: &(String, f64, Summary)) -> std::cmp::Ordering {
    let better = metric::named(&a.0).map_or(Better::Smaller, |m| m.better());
    let by_value = match better {
        Better::Larger => b.1.total_cmp(&a.1),
        Better::Smaller => a.1.total_cmp(&b.1),
    };
    a.0.cmp(&b.0).then(by_value)
}
