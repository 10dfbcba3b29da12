//! `profile`: where the time of a training goes: data, engine, host, and op by op.

use super::train::ConfigArgs;
use crate::{
    ended::Ended,
    failure::Failure,
    numbers::whole,
    output::{self, say},
    stored::Stored,
    supervision::SupervisionArgs,
    threads::machine,
};
use ane_device::EngineLock;
use ane_train::{
    Trainer,
    config::{MOST_BATCHES, RunConfig},
    data::{Loader, Opened},
    fit::FitError,
    profile::{OpPlace, OpTime, Profile},
};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Columns of a terminal.
const COLUMNS: u16 = 80;
/// Ops that are shown, those that took the longest.
const MOST_OPS: usize = 15;
/// Steps before the first that is timed: memory is touched, and what can be kept is packed.
const WARM_UP: u64 = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run, whose weights are trained on, or a model as --model has it; what the flags describe when left out
    #[arg(value_name = "RUN|MODEL", conflicts_with = "model")]
    asked: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Steps that are timed
    #[arg(long, default_value_t = 30, value_parser = whole(1..=MOST_BATCHES))]
    steps: u64,
    /// Threads; every core when left out
    #[arg(long, value_parser = crate::numbers::threads)]
    threads: Option<usize>,
}

/// What is profiled.
struct Subject {
    config: RunConfig,
    opened: Opened,
    trainer: Trainer,
    /// Held as long as the device is used.
    _lock: Option<EngineLock>,
}

/// What steps took.
#[derive(Default)]
struct Phases {
    steps: u32,
    examples: usize,
    all: Duration,
    data: Duration,
    engine: Duration,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let mut subject = subject(args)?;
    let config = subject.config;
    let options = args.config.source();
    let sampler = subject.opened.sampler(config.batch)?;
    let loaded = subject
        .opened
        .load(config.batch, &options, &super::data::report)?;
    let epochs = (WARM_UP + args.steps)
        .div_ceil(sampler.batches() as u64 / config.accumulate as u64 + 1)
        + 1;
    let loader = Loader::start(loaded.train, sampler, config.accumulate, (0, 0), epochs)
        .map_err(FitError::Loader)?;
    let trainer = &mut subject.trainer;
    let mut phases = Phases::default();
    for step in 0..WARM_UP + args.steps {
        if step == WARM_UP {
            trainer.start_profile();
        }
        let (since, engine) = (Instant::now(), trainer.engine_time());
        let Some(update) = loader.next_update() else {
            break;
        };
        let batches = update.map_err(ane_train::TrainerError::from)?;
        let waited = since.elapsed();
        let outcome = trainer.train_step(&batches)?;
        if step >= WARM_UP {
            phases.steps += 1;
            phases.examples += outcome.examples;
            phases.all += since.elapsed();
            phases.data += waited;
            phases.engine += trainer.engine_time() - engine;
        }
        loader.recycle(batches);
    }
    let profile = trainer.take_profile();
    say!(
        "{}, {} plan on `{}` for {}, batch {}, {} steps",
        config.model,
        config.plan.name(),
        config.device,
        config.target,
        config.batch,
        phases.steps
    );
    show(&phases, &profile);
    Ok(Ended::Done)
}

fn subject(args: &Args) -> Result<Subject, Failure> {
    let options = args.config.source();
    if let Some(path) = args.asked.as_deref().map(Path::new)
        && (path.is_dir() || path.extension().is_some_and(|e| e == "ckpt"))
    {
        let stored = Stored::read(path)?;
        let opened = Opened::of(
            &stored.config,
            Some(&stored.data),
            &options,
            &super::data::report,
        )?;
        let restored = stored.restore(&args.supervision, args.threads)?;
        return Ok(Subject {
            config: stored.config.clone(),
            opened,
            _lock: restored.lock,
            trainer: restored.trainer,
        });
    }
    let mut flags = args.config.clone();
    flags.model = flags.model.or_else(|| args.asked.clone());
    let mut config = RunConfig::default();
    let opened = flags.open_data(&mut config, None)?;
    let config = flags.over(config, (&opened.description, Some(opened.train_len())))?;
    let (pool, isa) = machine(args.threads)?;
    let of_config = config.trainer_on(&opened.description, WARM_UP + args.steps)?;
    let device = args.supervision.open_device(&config, &pool, isa)?;
    let trainer = Trainer::new(of_config, device.device, pool, isa)?;
    Ok(Subject {
        config,
        opened,
        trainer,
        _lock: device.lock,
    })
}

/// The phases of a step, its stages where there are several, and its ops.
fn show(phases: &Phases, profile: &Profile) {
    let steps = f64::from(phases.steps.max(1));
    let ms = |seconds: f64| 1e3 * seconds / steps;
    let of = |duration: Duration| ms(duration.as_secs_f64());
    let host = phases.all.saturating_sub(phases.data + phases.engine);
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
