//! `train`: the main job.

mod data_flags;
mod dry_run;
mod finish;
mod flags;
mod from;
mod interrupts;
mod layers;
mod optimizer_flags;
mod report;
mod settle;

pub(crate) use data_flags::{DataArgs, FitArg};
pub(crate) use flags::{ConfigArgs, NumericsArg, route, settle_target};
pub(crate) use layers::summary_table;
pub(crate) use report::{tell, test_line};

use crate::{
    command_line,
    continuation::{Continuation, refuse_another_run, run_dir},
    divergence::explained,
    ended::Ended,
    failure::Failure,
    log, model_file, numbers,
    output::{self, detail, remark, say},
    progress::{self, Started},
    settings::{Key, Settings, SettingsArgs, as_json, dumped},
    supervision::{Opened, SupervisionArgs},
    threads::machine,
};
use ane_device::PowerMeter;
use ane_train::{
    Trainer, TrainerError,
    config::APPLE,
    data::{Augmented, Mixed},
    fit::{Beginning, Ending, Fit, describe},
    recovery::Faults,
    run_dir::{RunDir, RunEnding},
};
use finish::finish;
use from::begin_with;
use interrupts::catch_interrupts;
use report::{say_placement, trained_values, write_placement};
use serde::Serialize;
use settle::settled;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Flags of a run. What is left out is the default, or what the resumed checkpoint has.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model, as --model
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    asked: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads, help_heading = "Run")]
    threads: Option<usize>,
    /// Run directory [default: a new one in `runs`, called after the day, the data set and two words]
    #[arg(long, help_heading = "Run")]
    out: Option<PathBuf>,
    /// Continue a run, from its directory or one of its .ckpt files; with more --epochs, --max-steps or --patience, for longer
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Continue a run that another instruction set has computed: its numbers are then not those of a run that was never moved
    #[arg(long, requires = "resume")]
    allow_other_machine: bool,
    /// Begin with the weights and running statistics of a run or of a .safetensors file, those that fit by name and shape;
    /// all else begins anew; --freeze keeps some as they are
    #[arg(long, value_name = "RUN|FILE", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// End in good order after so long, such as 90s, 10m or 2h; --resume goes on
    #[arg(long, value_name = "TIME", value_parser = numbers::time, help_heading = "Run")]
    max_time: Option<Duration>,
    /// Take one step, evaluate one batch and keep nothing: whether everything fits together
    #[arg(long, conflicts_with_all = ["resume", "out", "max_steps"])]
    fast_dev_run: bool,
    /// Steps between checkpoints; only after epochs when left out
    #[arg(long, value_parser = numbers::whole(1..=u64::MAX), help_heading = "Run")]
    checkpoint_every: Option<u64>,
    /// Keep the checkpoints of so many epochs, the last ones, besides last and best
    #[arg(
        long,
        value_name = "EPOCHS",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Run"
    )]
    keep: u64,
    /// Keep the first steps that overflow in `bundles` of the run directory, to be replayed, and say of each where
    #[arg(long, help_heading = "Run")]
    record_on_overflow: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Show the run on the whole terminal: curves, what takes the time, and keys to pause, to write a checkpoint, to stop
    #[arg(long, conflicts_with_all = ["dry_run", "dump_config", "json", "quiet"])]
    tui: bool,
    /// Build and check the program, show what would run, and stop
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Whether it trains, and leaves more than what it prints.
    pub(crate) fn trains(&self) -> bool {
        !self.dry_run && !self.settings.dump_config
    }
}

/// The settings that hold.
#[derive(Serialize)]
struct Dumped {
    settings: serde_json::Map<String, serde_json::Value>,
}

pub(crate) fn run(args: &Args, settings: &Settings, keys: &[Key]) -> Result<Ended, Failure> {
    let mut begun = None;
    let outcome = trained(args, settings, keys, &mut begun);
    if let (Err(failure), Some(run)) = (&outcome, &begun) {
        // What ended the run is what is to be said, whether or not this can be written.
        let _ = run.end(&failure.ending());
    }
    outcome
}

/// Trains, and leaves the directory of the run in `begun` as soon as there is one.
fn trained(
    args: &Args,
    settings: &Settings,
    keys: &[Key],
    begun: &mut Option<RunDir>,
) -> Result<Ended, Failure> {
    if args.settings.dump_config {
        let report = Dumped {
            settings: as_json(settings),
        };
        output::result(&report, || output::write(&dumped(keys, settings)));
        return Ok(Ended::Done);
    }
    if args.tui && !progress::screen_is_possible() {
        return Err(Failure::usage(
            "--tui needs a terminal that moves its cursor, as standard input and as standard output",
            "leave it out; `ane-trainer watch RUN` follows a run from a terminal",
        ));
    }
    let open = |path| Continuation::open(path, args.out.as_deref(), args.dry_run);
    let mut resumed = args.resume.as_deref().map(open).transpose()?;
    let mut flags = args.config.clone();
    flags.model = flags.model.or_else(|| args.asked.clone());
    let (mut config, opened) = settled(&flags, resumed.as_ref())?;
    // What is tried goes as it came.
    let tried = args.fast_dev_run.then(tempfile::tempdir).transpose();
    let tried = tried.map_err(|e| {
        Failure::because(
            "cannot make a folder for what is tried",
            e,
            "make space for temporary files",
        )
    })?;
    if tried.is_some() {
        config.max_steps = Some(1);
    }
    let out = tried
        .as_ref()
        .map(tempfile::TempDir::path)
        .or(args.out.as_deref());
    if let (Some(out), false) = (&args.out, args.dry_run) {
        refuse_another_run(out, resumed.as_ref())?;
    }
    if let Some(message) = resumed.as_ref().and_then(|c| c.has_ended(&config)) {
        say!("{message}");
        output::event("note", &serde_json::json!({"message": message}));
        return Ok(Ended::Done);
    }
    let sampler = opened.sampler(config.batch)?;
    let total_steps = config.total_steps(sampler.batches());
    let (pool, isa) = machine(args.threads)?;
    if let Some(c) = &resumed {
        c.must_go_on(&config, sampler.batches(), isa, args.allow_other_machine)?;
    }
    let trainer_config = config.trainer_on(&opened.description, total_steps)?;
    let Opened {
        device,
        recovery,
        lock: _lock,
    } = args.supervision.open_device(&config, &pool, isa)?;
    if args.dry_run {
        let machine = (&pool, isa);
        dry_run::show(
            &config,
            &trainer_config,
            &*device,
            machine,
            resumed.as_ref(),
        )?;
        return Ok(Ended::Done);
    }
    let compiling = Instant::now();
    let mut trainer = Trainer::new(trainer_config, device, pool.clone(), isa)?;
    detail!(
        "compiling took {:.2} s; programs: {}",
        compiling.elapsed().as_secs_f64(),
        trainer.device().counts().compiles
    );
    if config.require_ane {
        trainer.require_ane().map_err(TrainerError::from)?;
    }
    if let Some(path) = &args.from {
        config.from = Some(path.display().to_string());
        begin_with(&mut trainer, path)?;
    }
    if let Some(c) = &resumed {
        let mut faults = Faults::new(recovery);
        let record = &c.checkpoint.record;
        faults
            .restore(&mut trainer, record.progress, &c.checkpoint.state)
            .map_err(|e| match e {
                TrainerError::State(e) => c.misfit(e),
                other => other.into(),
            })?;
        tell(&mut faults);
    }
    let description = opened.description.clone();
    let mut loaded = opened.load(config.batch, &args.config.source(), &super::data::report)?;
    if tried.is_some() {
        loaded.keep_a_batch(config.batch);
    }
    if !config.augment.is_empty() {
        let train = loaded.train.clone();
        let changed = Augmented::new(train, &config.augment, &description.input, config.seed);
        // Where examples are no images, flags of images have been refused.
        if let Some(changed) = changed {
            loaded.train = Arc::new(changed);
        }
    }
    if let Some(alpha) = config.augment.mixup() {
        let (of, train) = (trainer.config(), loaded.train.clone());
        let rows = of.objective.class_rows(&of.model);
        let mixed = rows.and_then(|rows| Mixed::new(train, alpha, rows, config.seed));
        loaded.train = Arc::new(mixed.ok_or_else(|| {
            Failure::usage(
                "--augment mixup blends classes, of which the model has not one loss",
                "leave mixup out",
            )
        })?);
    }
    let run = run_dir(out, resumed.as_mut(), &description.name)?;
    *begun = Some(run.clone());
    let out = run.root().to_owned();
    if let Some(e) = log::keep_in(&run.log()) {
        remark!("note: the run has no log.txt: {e}");
    }
    if let Some(imported) = &config.imported {
        imported
            .save(&run.model())
            .map_err(|e| model_file::not_saved(&run.model(), e))?;
    }
    describe(&run, &config, pool.threads(), isa)?;
    // What a run that goes on had come to is not what it comes to.
    run.remove_result()?;
    if let Some(c) = &resumed {
        c.carry_over(&run)?;
    }
    command_line::note_in(&run)?;
    let best = resumed.as_ref().and_then(|c| c.best_in(&run));
    let record = resumed.as_ref().map(|c| &c.checkpoint.record);
    let mut fit = Fit::begin(Beginning {
        config: &config,
        description: &description,
        trainer,
        train: loaded.train,
        sampler,
        validation: loaded.validation,
        run,
        record,
        best,
        checkpoint_every: args.checkpoint_every,
        keep: args.keep,
        recovery,
        isa,
    })?;
    // What stands in for Apple's engine draws nothing there; others may.
    let is_apples = config.device == APPLE && config.replaced().is_empty();
    let meter = is_apples.then(PowerMeter::start);
    fit.watch(&config, args.record_on_overflow)?;
    fit.deadline = args.max_time.map(|time| Instant::now() + time);
    let control = catch_interrupts();
    let started = Started {
        run: &out,
        model: &config.model,
        dataset: &config.dataset,
        data: &description.title,
        plan: config.plan.name(),
        device: &config.device,
        target: config.target.to_string(),
        threads: pool.threads(),
        seed: config.seed,
        batch: config.batch,
        epochs: config.epochs,
        steps: total_steps,
        step: fit.trainer.progress().step,
        parameters: trained_values(&fit.trainer),
        metrics: &fit.trainer.config().metrics,
        layers: &layers::of(&fit.trainer),
        placement: report::placement_lines(&fit.trainer),
    };
    let mut progress = progress::begin(&started, args.tui, &control)?;
    let since = Instant::now();
    let ending = fit.run(&control, &mut |event| {
        report::note(event);
        progress.show(event);
    });
    let power = meter.map_or(Ok(None), PowerMeter::stop);
    progress.finish();
    let power = power.unwrap_or_else(|e| {
        remark!("note: {e}");
        None
    });
    match ending {
        Ok(Ending::Interrupted) => {
            let placement = write_placement(&fit, &config, power)?;
            fit.run.end(&RunEnding::stopped("interrupted"))?;
            say_placement(&placement);
            say!(
                "interrupted; continue with:\n  ane-trainer train --resume {}",
                out.display()
            );
            report::tell_interrupted(&fit, since);
            Ok(Ended::Interrupted)
        }
        Ok(ending @ (Ending::Finished | Ending::NoBetter | Ending::OutOfTime)) => {
            match ending {
                Ending::NoBetter => say!(
                    "no better validation result in {} epochs: ended",
                    config.patience.unwrap_or_default()
                ),
                Ending::OutOfTime => say!(
                    "its time is over; continue with:\n  ane-trainer train --resume {}",
                    out.display()
                ),
                Ending::Finished | Ending::Interrupted => {}
            }
            finish(fit, &config, loaded.test, since, (ending, power))
        }
        Err(e) => {
            // What ended the run is what is to be said, whether or not this can be written.
            let _ = write_placement(&fit, &config, power);
            Err(explained(e, &config, &fit.run))
        }
    }
}
