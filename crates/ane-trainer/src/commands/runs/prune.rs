//! `runs prune`: of the runs that are judged by the same, the best stay.

use super::{FOLDER, all, flat::data_name, judged::Judged, remove, shown};
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
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the runs
    #[arg(default_value = FOLDER)]
    folder: PathBuf,
    /// Runs that stay of those that are judged by the same: data, label, metric and test examples
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
    groups: Vec<Group>,
    runs: Vec<Worse>,
}

/// Runs whose results can be held against each other.
#[derive(Serialize)]
struct Group {
    data: String,
    learned: String,
    metric: String,
    /// How many there are.
    runs: usize,
    /// How many of them stay.
    kept: usize,
}

/// A run that is not among the best of its group.
#[derive(Serialize)]
struct Worse {
    path: String,
    /// Its place in the groups.
    group: usize,
    metric: String,
    value: f64,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let mut groups: Vec<(Judged, Vec<(f64, Summary)>)> = Vec::new();
    for run in all(&args.folder)? {
        // What can go on, or goes on, is nobody's to throw away.
        if run.state != RunState::Finished {
            continue;
        }
        let (Some((_, value)), Some(judged)) = (run.score(), Judged::of(&run)) else {
            continue;
        };
        match groups.iter_mut().find(|(of, _)| of.is_surely(&judged)) {
            Some((_, runs)) => runs.push((value, run)),
            None => groups.push((judged, vec![(value, run)])),
        }
    }
    let mut report = Report {
        removed: args.yes,
        groups: Vec::new(),
        runs: Vec::new(),
    };
    for (i, (judged, mut runs)) in groups.into_iter().enumerate() {
        runs.sort_by(|a, b| order(&judged.metric, a.0, b.0));
        let group = Group::of(judged, &runs, args.keep);
        group.tell();
        for (value, run) in runs.iter().skip(group.kept) {
            if args.yes {
                remove(run)?;
            }
            let worse = Worse {
                path: output::path(run.run.root()),
                group: i,
                metric: group.metric.clone(),
                value: *value,
            };
            worse.tell(args.yes);
            report.runs.push(worse);
        }
        report.groups.push(group);
    }
    output::result(&report, || match (&report.runs[..], args.yes) {
        ([], _) => say!("nothing to remove"),
        (_, false) => say!("pass --yes to remove them"),
        (_, true) => {}
    });
    Ok(Ended::Done)
}

impl Group {
    fn of(judged: Judged, runs: &[(f64, Summary)], keep: u64) -> Self {
        let data = runs.first().map(|(_, run)| run.setting("dataset"));
        Self {
            data: data_name(&data.unwrap_or_default()),
            learned: judged.learned(),
            metric: judged.metric,
            runs: runs.len(),
            kept: runs.len().min(usize::try_from(keep).unwrap_or(usize::MAX)),
        }
    }

    fn tell(&self) {
        let stay = match (self.runs, self.kept) {
            (1, _) => "1 run, which stays".to_owned(),
            (n, kept) if n == kept => format!("{n} runs, which stay"),
            (n, 1) => format!("{n} runs, of which the best stays"),
            (n, kept) => format!("{n} runs, of which the best {kept} stay"),
        };
        say!("{}, {} of {}: {stay}", self.data, self.metric, self.learned);
    }
}

impl Worse {
    /// Said one by one: what is gone is known where the next one fails.
    fn tell(&self, removed: bool) {
        let what = if removed { "  removed" } else { "  would go:" };
        say!(
            "{what} {} ({} {})",
            self.path,
            self.metric,
            shown(&self.metric, self.value)
        );
    }
}

/// The better one first.
fn order(metric: &str, a: f64, b: f64) -> std::cmp::Ordering {
    match metric::named(metric).map_or(Better::Smaller, |m| m.better()) {
        Better::Larger => b.total_cmp(&a),
        Better::Smaller => a.total_cmp(&b),
    }
}
