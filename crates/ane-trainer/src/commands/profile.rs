//! `profile`: where the time of a training goes: data, engine, host, and op by op.

mod trace;

use crate::{
    code::Code,
    ended::Ended,
    failure::Failure,
    numbers::whole,
    output::{self, say},
    timed_training::{Phases, TimedArgs, TimedTraining},
};
use ane_train::{
    checkpoint::replace_file,
    config::MOST_BATCHES,
    profile::{OpPlace, OpTime, Profile, StageTime},
};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Columns of a terminal.
const COLUMNS: u16 = 80;
/// Ops that are shown, those that took the longest.
const MOST_OPS: usize = 15;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    training: TimedArgs,
    /// Steps that are timed
    #[arg(long, default_value_t = 30, value_parser = whole(1..=MOST_BATCHES))]
    steps: u64,
    /// Write the steps one by one, with their phases and ops, in Chrome's Trace Event Format: for ui.perfetto.dev or
    /// chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    // What cannot be written is said before anything is measured.
    args.trace.as_deref().map_or(Ok(()), must_have_a_folder)?;
    let mut training = TimedTraining::new(&args.training, args.steps)?;
    training.trainer.start_profile(match &args.trace {
        Some(_) => Profile::of_executions(),
        None => Profile::default(),
    });
    let phases = training.take(args.steps)?;
    let profile = training.trainer.take_profile();
    let mut report = Report::of(&training, &phases, &profile);
    if let Some(file) = &args.trace {
        let trace = trace::of(&training, &phases, &profile).to_string();
        replace_file(file, trace.as_bytes())?;
        report.trace = Some(output::path(file));
    }
    output::result(&report, || report.show());
    Ok(Ended::Done)
}

/// Refuses a file whose folder is not there.
fn must_have_a_folder(file: &Path) -> Result<(), Failure> {
    // A bare name has an empty parent.
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::new(
            format!(
                "cannot write `{}`: there is no folder `{}`",
                file.display(),
                folder.display()
            ),
            "make the folder, or name another file by --trace",
        )
        .with_code(Code::NotThere)),
        _ => Ok(()),
    }
}

/// What was measured. Times are of all steps together.
#[derive(Serialize)]
struct Report<'a> {
    /// What was trained, in one line.
    title: String,
    machine: &'a str,
    steps: u32,
    examples: usize,
    seconds: f64,
    engine_seconds: f64,
    host_seconds: f64,
    /// Waiting for examples.
    data_seconds: f64,
    stages: &'a [StageTime],
    /// None where the device does not tell.
    ops: Vec<Op<'a>>,
    /// The file of `--trace`.
    trace: Option<String>,
}

#[derive(Serialize)]
struct Op<'a> {
    #[serde(flatten)]
    place: &'a OpPlace,
    #[serde(flatten)]
    time: OpTime,
}

impl<'a> Report<'a> {
    fn of(training: &'a TimedTraining, phases: &Phases, profile: &'a Profile) -> Self {
        let ops = profile.ops().into_iter();
        Self {
            title: training.title(),
            machine: &training.machine,
            steps: phases.steps,
            examples: phases.examples,
            seconds: phases.all.as_secs_f64(),
            engine_seconds: phases.engine.as_secs_f64(),
            host_seconds: phases.host().as_secs_f64(),
            data_seconds: phases.data.as_secs_f64(),
            stages: profile.stages(),
            ops: ops.map(|(place, time)| Op { place, time }).collect(),
            trace: None,
        }
    }

    /// Prints the phases of a step, its stages where there are several, and its ops.
    fn show(&self) {
        self.show_times();
        if let Some(file) = &self.trace {
            say!("trace in {file}");
        }
    }

    fn show_times(&self) {
        let steps = f64::from(self.steps.max(1));
        let ms = |seconds: f64| 1e3 * seconds / steps;
        say!("{}, {} steps", self.title, self.steps);
        say!(
            "{:.2} ms a step: {:.2} engine, {:.2} host, {:.2} data; {:.0} examples/s",
            ms(self.seconds),
            ms(self.engine_seconds),
            ms(self.host_seconds),
            ms(self.data_seconds),
            self.examples as f64 / self.seconds
        );
        if self.stages.len() > 1 {
            for (i, stage) in self.stages.iter().enumerate() {
                say!(
                    "stage {}: {}, {:.2} ms",
                    i + 1,
                    stage.side,
                    ms(stage.seconds)
                );
            }
        }
        if self.ops.is_empty() {
            say!("the device does not tell what single ops take");
            return;
        }
        let all: f64 = self.ops.iter().map(|op| op.time.seconds).sum();
        output::write(&table(&self.ops, all, steps));
        let rest = self.ops.get(MOST_OPS..).unwrap_or_default();
        if !rest.is_empty() {
            let seconds: f64 = rest.iter().map(|op| op.time.seconds).sum();
            say!(
                "{} others: {:.1} % of the time of ops",
                rest.len(),
                100.0 * seconds / all
            );
        }
    }
}

fn table(ops: &[Op<'_>], all: f64, steps: f64) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS)
        .set_header(["layer", "pass", "op", "runs on", "ms", "share", "GFLOP/s"]);
    for Op { place, time } in ops.iter().take(MOST_OPS) {
        let or = |text: &str, other: &str| match text {
            "" => other.to_owned(),
            _ => text.to_owned(),
        };
        table.add_row([
            or(&place.layer, "(loss, step)"),
            place.pass.to_owned(),
            or(place.op, "(ports)"),
            place.side.to_owned(),
            format!("{:.3}", 1e3 * time.seconds / steps),
            format!("{:.1} %", 100.0 * time.seconds / all),
            format!("{:.1}", time.flops as f64 / time.seconds.max(1e-12) / 1e9),
        ]);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt() + "\n"
}
