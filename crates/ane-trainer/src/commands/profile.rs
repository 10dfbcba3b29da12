//! `profile`: where the time of a training goes: data, engine, host, and op by op.

use crate::{
    ended::Ended,
    failure::Failure,
    numbers::whole,
    output::{self, say},
    timed_training::{Phases, TimedArgs, TimedTraining},
};
use ane_train::{
    config::MOST_BATCHES,
    profile::{OpPlace, OpTime, Profile},
};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::time::Duration;

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
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let mut training = TimedTraining::new(&args.training, args.steps)?;
    training.trainer.start_profile();
    let phases = training.take(args.steps)?;
    let profile = training.trainer.take_profile();
    say!("{}, {} steps", training.title(), phases.steps);
    show(&phases, &profile);
    Ok(Ended::Done)
}

/// The phases of a step, its stages where there are several, and its ops.
fn show(phases: &Phases, profile: &Profile) {
    let steps = f64::from(phases.steps.max(1));
    let ms = |seconds: f64| 1e3 * seconds / steps;
    let of = |duration: Duration| ms(duration.as_secs_f64());
    let host = phases.host();
    say!(
        "{:.2} ms a step: {:.2} engine, {:.2} host, {:.2} data; {:.0} examples/s",
        of(phases.all),
        of(phases.engine),
        of(host),
        of(phases.data),
        phases.examples as f64 / phases.all.as_secs_f64()
    );
    if profile.stages().len() > 1 {
        for (i, stage) in profile.stages().iter().enumerate() {
            say!(
                "stage {}: {}, {:.2} ms",
                i + 1,
                stage.side,
                ms(stage.seconds)
            );
        }
    }
    let ops = profile.ops();
    if ops.is_empty() {
        say!("the device does not tell what single ops take");
        return;
    }
    let all: f64 = ops.iter().map(|(_, time)| time.seconds).sum();
    output::write(&table(&ops, all, steps));
    let rest = ops.len().saturating_sub(MOST_OPS);
    if rest > 0 {
        let seconds: f64 = ops[MOST_OPS..].iter().map(|(_, time)| time.seconds).sum();
        say!(
            "{rest} others: {:.1} % of the time of ops",
            100.0 * seconds / all
        );
    }
}

fn table(ops: &[(&OpPlace, OpTime)], all: f64, steps: f64) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS)
        .set_header(["layer", "pass", "op", "runs on", "ms", "share", "GFLOP/s"]);
    for (place, time) in ops.iter().take(MOST_OPS) {
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
