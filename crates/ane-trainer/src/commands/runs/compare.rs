//! `runs compare`: in what runs differ, and whether their results do.
//!
//! A run has a seed, and two runs of one setting differ by it. So one run a side says something of two checkpoints and nothing of
//! two settings; several runs that differ in nothing but their seed are the runs of a setting.

use super::{
    find,
    flat::{data_name, flat},
    judged::Judged,
    resampled::{least, mean, probability},
    shown,
};
use crate::{
    code::Code,
    ended::Ended,
    failure::Failure,
    output::{self, say},
    table::COLUMNS,
};
use ane_train::run_dir::{RunState, Summary};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Probability up to which results are called different.
const LIMIT: f64 = 0.05;
/// Runs of a side from which it says something of its setting.
const SEEDS: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their directories, or their names in `runs`; those that differ in their seed alone are a group
    #[arg(required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
}

/// Runs of one setting.
struct Group {
    runs: Vec<Summary>,
    setting: Map<String, Value>,
    scores: Vec<f64>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let mut groups: Vec<Group> = Vec::new();
    let mut first: Option<Judged> = None;
    for path in &args.runs {
        let run = find(path)?;
        let (_, value) = run.score().ok_or_else(|| {
            Failure::new(
                format!(
                    "`{}` has no test result: it is {}",
                    path.display(),
                    run.state.name()
                ),
                let_end(&run),
            )
            .with_code(Code::NotSoFar)
        })?;
        must_be_alike(&run, &args.runs[0], &mut first)?;
        let mut setting = run.config.clone();
        setting.remove("seed");
        match groups.iter_mut().find(|g| g.setting == setting) {
            Some(group) => {
                group.must_not_have(&run)?;
                group.scores.push(value);
                group.runs.push(run);
            }
            None => groups.push(Group {
                runs: vec![run],
                setting,
                scores: vec![value],
            }),
        }
    }
    let metric = first.map(|f| f.metric).unwrap_or_default();
    let verdicts = verdicts(&groups);
    output::result(&as_json(&groups, &metric, &verdicts), || {
        for (i, group) in groups.iter().enumerate() {
            say!("{}", group.line(i, &metric));
        }
        for line in differences(&groups) {
            say!("{line}");
        }
        for v in &verdicts {
            say!("{}", v.line(&groups, &metric));
        }
    });
    Ok(Ended::Done)
}

/// How a run without a result comes to one.
fn let_end(run: &Summary) -> String {
    let root = run.run.root().display();
    match (run.state, run.run.checkpoint("last").exists()) {
        (RunState::Running, _) => {
            format!("wait until it has ended; `ane-trainer watch {root}` shows it")
        }
        (RunState::Stopped | RunState::Failed, true) => {
            format!("let it end, with `ane-trainer train --resume {root}`")
        }
        (RunState::Diverged, true) => format!(
            "start it again with a smaller --lr: from its last checkpoint it would diverge again; \
             `ane-trainer runs show {root}` says how it ended"
        ),
        (RunState::Finished, _) => {
            "nothing was held out to judge it by: train it with --test".to_owned()
        }
        (_, false) => format!(
            "start it again, with the arguments in {}{}",
            run.run.commands().display(),
            match run.state {
                RunState::Diverged => " and a smaller --lr",
                _ => "",
            }
        ),
    }
}

/// Refuses a run whose result means something else than that of the first one.
fn must_be_alike(run: &Summary, at: &Path, first: &mut Option<Judged>) -> Result<(), Failure> {
    let Some(judged) = Judged::of(run) else {
        return Ok(());
    };
    let first = first.get_or_insert_with(|| judged.clone());
    let Some((of_first, of_run)) = first.differs_from(&judged) else {
        return Ok(());
    };
    Err(Failure::usage(
        format!(
            "results of `{}` and `{}` cannot be compared:\n  the first {of_first}\n  the other {of_run}",
            at.display(),
            run.run.root().display()
        ),
        "compare runs of the same data, label, metric and test examples; `ane-trainer eval RUN --data FILE` judges \
         any run by one file",
    ))
}

impl Group {
    /// Refuses a run that is in it already, be it by another name: it says nothing that has not been said.
    fn must_not_have(&self, run: &Summary) -> Result<(), Failure> {
        let seed = run.config.get("seed");
        let Some(same) = self.runs.iter().find(|r| r.config.get("seed") == seed) else {
            return Ok(());
        };
        let places = [same, run].map(|r| r.run.root());
        let resolved = places.map(|place| place.canonicalize().ok());
        let [one, other] = places.map(Path::display);
        let message = match resolved[0] == resolved[1] {
            true => format!("`{one}` is named twice"),
            false => format!("`{other}` is `{one}` once more: the same settings and the same seed"),
        };
        Err(Failure::usage(
            message,
            "name each run once; runs that differ in their --seed are several",
        ))
    }

    fn name(&self, at: usize) -> String {
        match &self.runs[..] {
            [one] => one.name(),
            several => format!("group {} ({} runs)", at + 1, several.len()),
        }
    }

    fn line(&self, at: usize, metric: &str) -> String {
        let all: Vec<String> = self.scores.iter().map(|&x| shown(metric, x)).collect();
        match &self.runs[..] {
            [_] => format!("{}: {metric} {}", self.name(at), all[0]),
            _ => format!(
                "{}: {metric} {} on average of {}",
                self.name(at),
                shown(metric, mean(&self.scores)),
                all.join(", ")
            ),
        }
    }
}

/// What can be said of two groups.
struct Verdict {
    a: usize,
    b: usize,
    /// The probability of such a difference of the same; none where there are too few runs to ask.
    probability: Option<f64>,
}

fn verdicts(groups: &[Group]) -> Vec<Verdict> {
    let first = groups.first().map_or(&[][..], |g| &g.scores);
    let others = groups.iter().enumerate().skip(1);
    others
        .map(|(b, group)| {
            let enough = first.len() >= SEEDS && group.scores.len() >= SEEDS;
            Verdict {
                a: 0,
                b,
                probability: enough.then(|| probability(first, &group.scores)),
            }
        })
        .collect()
}

impl Verdict {
    fn line(&self, groups: &[Group], metric: &str) -> String {
        let (a, b) = (&groups[self.a], &groups[self.b]);
        let names = format!("{} and {}", a.name(self.a), b.name(self.b));
        let Some(p) = self.probability else {
            return format!(
                "{names}:\n  these checkpoints, not these settings: a setting takes at least {SEEDS} runs a side\n  \
                 that differ in their seed"
            );
        };
        if p <= LIMIT {
            let by = shown(metric, (mean(&b.scores) - mean(&a.scores)).abs());
            return format!("{names}:\n  different, by {by} (p = {p:.3})");
        }
        let least = least(a.scores.len(), b.scores.len());
        if least > LIMIT {
            return format!(
                "{names}:\n  so few runs cannot show a difference (p is at least {least:.2}); 4 a side can"
            );
        }
        format!("{names}:\n  no difference that seeds could not make (p = {p:.3})")
    }
}

/// Settings in which the groups differ, a line each, or one for each group where it would be too long.
fn differences(groups: &[Group]) -> Vec<String> {
    let settings: Vec<_> = groups.iter().map(|g| flat(&g.setting)).collect();
    let mut names: Vec<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let mut lines = Vec::new();
    for name in names {
        let text = |s: &BTreeMap<String, String>| s.get(name).map_or("-", |t| t).to_owned();
        let mut all: Vec<String> = settings.iter().map(text).collect();
        let differ = |all: &[String]| all.iter().any(|value| *value != all[0]);
        if !differ(&all) {
            continue;
        }
        let short: Vec<String> = all.iter().map(|path| data_name(path)).collect();
        if name == "dataset" && differ(&short) {
            all = short;
        }
        let line = format!("  {name}: {}", all.join(" | "));
        if line.chars().count() <= COLUMNS.into() {
            lines.push(line);
            continue;
        }
        lines.push(format!("  {name}:"));
        lines.extend(all.iter().map(|text| format!("    {text}")));
    }
    lines
}

fn as_json(groups: &[Group], metric: &str, verdicts: &[Verdict]) -> Value {
    let group = |(i, g): (usize, &Group)| {
        let names: Vec<String> = g.runs.iter().map(Summary::name).collect();
        json!({"name": g.name(i), "runs": names, "scores": g.scores, "mean": mean(&g.scores)})
    };
    let verdict = |v: &Verdict| {
        json!({
            "groups": [v.a, v.b],
            "probability": v.probability,
            "different": v.probability.map(|p| p <= LIMIT),
        })
    };
    json!({
        "metric": metric,
        "groups": groups.iter().enumerate().map(group).collect::<Vec<_>>(),
        "verdicts": verdicts.iter().map(verdict).collect::<Vec<_>>(),
    })
}
