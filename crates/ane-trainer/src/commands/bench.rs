//! `bench`: how fast a configuration of one's own trains, and whether that has changed.

use crate::{
    code::Code,
    ended::Ended,
    failure::Failure,
    numbers::whole,
    output::{self, say},
    timed_training::{TimedArgs, TimedTraining},
};
use ane_train::{checkpoint::replace_file, config::MOST_BATCHES};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Most bytes of a baseline.
const LARGEST: u64 = 1 << 20;
/// Version of the form of baselines.
const SCHEMA: u32 = 1;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    training: TimedArgs,
    /// Times that the steps are timed, at least 3; what is shown is the median, with the fastest and the slowest
    #[arg(long, default_value_t = 7, value_parser = whole(3..=1000))]
    rounds: u64,
    /// Steps of a round
    #[arg(long, default_value_t = 20, value_parser = whole(1..=MOST_BATCHES))]
    steps: u64,
    /// Keep what was measured in this file
    #[arg(long, value_name = "FILE")]
    save_baseline: Option<PathBuf>,
    /// Compare with what --save-baseline has kept; exit code 1 if it is slower, beyond what rounds differ by
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// What a baseline holds.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    /// Changes whenever a field changes its meaning.
    schema: u32,
    /// What was trained, in one line.
    title: String,
    /// Threads, instruction set and system.
    machine: String,
    /// Milliseconds a step, a number for each round.
    ms: Vec<f64>,
}

impl Baseline {
    /// Fastest, median and slowest round.
    fn spread(&self) -> [f64; 3] {
        let mut ms = self.ms.clone();
        ms.sort_by(f64::total_cmp);
        let middle = ms.len() / 2;
        let median = match ms.len() % 2 {
            0 => f64::midpoint(ms[middle - 1], ms[middle]),
            _ => ms[middle],
        };
        [ms[0], median, ms[ms.len() - 1]]
    }
}

/// How what was measured stands to what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Faster,
    Slower,
    /// Rounds of the one are among those of the other.
    WithinNoise,
}

impl Change {
    fn of([fastest, _, slowest]: [f64; 3], [before_fastest, _, before_slowest]: [f64; 3]) -> Self {
        if slowest < before_fastest {
            Self::Faster
        } else if fastest > before_slowest {
            Self::Slower
        } else {
            Self::WithinNoise
        }
    }
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    title: String,
    machine: String,
    /// Milliseconds a step, a number for each round.
    ms: Vec<f64>,
    fastest_ms: f64,
    median_ms: f64,
    slowest_ms: f64,
    examples_per_second: f64,
    /// The file in which it is kept.
    kept: Option<String>,
    comparison: Option<Comparison>,
}

/// How it stands to a baseline.
#[derive(Serialize)]
struct Comparison {
    change: Change,
    /// Times as fast as the baseline.
    ratio: f64,
    /// The baseline's median.
    before_ms: f64,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    // What cannot be compared is said before anything is measured.
    let before = args.compare.as_deref().map(read).transpose()?;
    let mut training = TimedTraining::new(&args.training, args.rounds * args.steps)?;
    let (title, machine) = (training.title(), training.machine.clone());
    if let Some(before) = &before {
        must_be_alike(before, &title, &machine)?;
    }
    let measured = Baseline {
        schema: SCHEMA,
        title,
        machine,
        ms: (0..args.rounds)
            .map(|_| {
                let phases = training.take(args.steps)?;
                Ok(1e3 * phases.all.as_secs_f64() / f64::from(phases.steps.max(1)))
            })
            .collect::<Result<_, Failure>>()?,
    };
    if let Some(path) = &args.save_baseline {
        let mut text = serde_json::to_string_pretty(&measured).unwrap_or_default();
        text.push('\n');
        replace_file(path, text.as_bytes())?;
    }
    let [fastest_ms, median_ms, slowest_ms] = measured.spread();
    let examples = training.config.batch * training.config.accumulate;
    let report = Report {
        comparison: before.map(|before| Comparison::of(&measured, &before)),
        title: measured.title,
        machine: measured.machine,
        ms: measured.ms,
        fastest_ms,
        median_ms,
        slowest_ms,
        examples_per_second: 1e3 * examples as f64 / median_ms,
        kept: args.save_baseline.as_ref().map(output::path),
    };
    output::result(&report, || tell(&report));
    match &report.comparison {
        Some(comparison) if comparison.change == Change::Slower => {
            Err(comparison.failure(median_ms))
        }
        _ => Ok(Ended::Done),
    }
}

fn tell(report: &Report) {
    say!("{}", report.title);
    say!(
        "{:.3} ms a step ({:.3} to {:.3}); {:.0} examples/s",
        report.median_ms,
        report.fastest_ms,
        report.slowest_ms,
        report.examples_per_second
    );
    if let Some(file) = &report.kept {
        say!("kept in {file}");
    }
    let Some(Comparison { change, ratio, .. }) = &report.comparison else {
        return;
    };
    match change {
        Change::Faster => say!("{ratio:.3} times as fast as the baseline"),
        Change::WithinNoise => {
            say!("{ratio:.3} times as fast as the baseline, which is within what rounds differ by");
        }
        // That is a failure, which says so.
        Change::Slower => {}
    }
}

/// Refuses a baseline of something else, or of another machine.
fn must_be_alike(before: &Baseline, title: &str, machine: &str) -> Result<(), Failure> {
    let pairs = [
        ("of", title, &before.title),
        ("measured on", machine, &before.machine),
    ];
    for (what, now, then) in pairs {
        if now != then {
            return Err(Failure::new(
                format!("the baseline is {what} `{then}`, this is `{now}`"),
                "compare alike with alike: save a baseline of this one",
            )
            .with_code(Code::Baseline));
        }
    }
    Ok(())
}

impl Comparison {
    fn of(measured: &Baseline, before: &Baseline) -> Self {
        let (now, then) = (measured.spread(), before.spread());
        Self {
            change: Change::of(now, then),
            ratio: then[1] / now[1],
            before_ms: then[1],
        }
    }

    /// What is said of a slower one.
    fn failure(&self, median_ms: f64) -> Failure {
        Failure::found(
            format!(
                "slower than the baseline: {median_ms:.3} ms a step, {:.3} before, and no round is among those before",
                self.before_ms
            ),
            "measure again while nothing else runs; `ane-trainer profile` says where the time goes",
        )
    }
}

fn read(path: &Path) -> Result<Baseline, Failure> {
    let file = path.display();
    let bytes = ane_files::read(path, LARGEST).map_err(|e| {
        Failure::because(
            format!("cannot read the baseline `{file}`"),
            io::Error::from(e),
            "--save-baseline writes one",
        )
        .with_code(Code::NotThere)
    })?;
    let baseline: Result<Baseline, _> = serde_json::from_slice(&bytes);
    match baseline {
        Ok(baseline) if baseline.schema == SCHEMA && baseline.ms.len() >= 3 => Ok(baseline),
        Ok(_) => Err(Failure::new(
            format!("`{file}` is a baseline of another version"),
            "save one anew",
        )
        .with_code(Code::Baseline)),
        Err(e) => Err(Failure::because(
            format!("`{file}` is no baseline"),
            e,
            "--save-baseline writes one",
        )
        .with_code(Code::Baseline)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounds_that_are_apart_are_a_change() {
        let spread = |ms: &[f64]| {
            Baseline {
                schema: SCHEMA,
                title: String::new(),
                machine: String::new(),
                ms: ms.to_vec(),
            }
            .spread()
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), [1.0, 2.5, 4.0]);
        let then = spread(&[2.0, 2.1, 2.2]);
        assert_eq!(Change::of(spread(&[2.3, 2.4, 2.5]), then), Change::Slower);
        assert_eq!(Change::of(spread(&[1.7, 1.8, 1.9]), then), Change::Faster);
        let near = spread(&[2.15, 2.3, 2.4]);
        assert_eq!(Change::of(near, then), Change::WithinNoise);
    }
}
