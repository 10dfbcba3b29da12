//! `train`: the main job.

mod dry_run;
mod flags;

pub(crate) use flags::{ConfigArgs, NumericsArg, route, settle_target};

use super::data::{Source, report};
use crate::{
    continuation::{Continuation, refuse_another_run, run_dir, stored_config},
    divergence::explained,
    failure::Failure,
    numbers,
    output::{remark, say},
    progress::Progress,
    supervision::{Opened, SupervisionArgs},
    threads::machine,
};
use ane_device::{Power, PowerMeter};
use ane_train::{
    Trainer, TrainerError,
    checkpoint::{Checkpoint, EpochSums},
    config::{APPLE, ConfigError, RunConfig},
    data::{self, Images, Sampler, catalog, fills_a_batch, sampler},
    fit::{Ending, Evaluation, Examples, Fit, evaluate, show},
    machine::Machine,
    memory::amount,
    metric::Metric,
    placement::Placement,
    recovery::Faults,
    step::PlanKind,
};
use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Flags of a run. What is left out is the default, or what the resumed checkpoint has.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
    /// Run directory [default: runs/DATASET-TIME]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Continue a run, from its directory or one of its .ckpt files
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Steps between checkpoints; only after epochs when left out
    #[arg(long, value_parser = numbers::whole(1..=u64::MAX))]
    checkpoint_every: Option<u64>,
    /// Build and check the program, show what would run, and stop
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Whether what the command comes to is more than what it prints.
    pub(crate) fn leaves_files(&self) -> bool {
        !self.dry_run
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let open = |path| Continuation::open(path, args.out.as_deref(), args.dry_run);
    let mut resumed = args.resume.as_deref().map(open).transpose()?;
    let config = match &resumed {
        None => {
            let mut base = RunConfig::default();
            if args.config.require_ane {
                base.plan = PlanKind::Fused;
            }
            args.config.over(base)?
        }
        Some(c) => {
            let stored = stored_config(&c.file, &c.checkpoint)?;
            let asked = args.config.over(stored.clone())?;
            let diff = stored.diff(&asked);
            if !diff.is_empty() {
                return Err(Failure::new(
                    format!(
                        "`{}` is a checkpoint of another run:\n{}",
                        c.file.display(),
                        diff.join("\n")
                    ),
                    "leave these arguments out to continue the run, or start a new one without --resume",
                ));
            }
            stored
        }
    };
    if let (Some(out), false) = (&args.out, args.dry_run) {
        refuse_another_run(out, resumed.as_ref())?;
    }
    if resumed.as_ref().is_some_and(|c| c.has_ended(&config)) {
        say!("the run had ended: all of it is done, and its files stay as they are");
        return Ok(ExitCode::SUCCESS);
    }
    let spec = catalog::find(&config.dataset)?;
    let held_out = if config.whole {
        0
    } else {
        let held_out = config.validation.of(spec.train.examples);
        held_out.map_err(ConfigError::from)?
    };
    let (train, validation) = sampler::split(spec.train.examples, held_out, config.seed);
    fills_a_batch(train.len(), config.batch).map_err(ConfigError::from)?;
    let sampler = Sampler::new(train, config.batch, config.seed);
    let total_steps = config.total_steps(sampler.batches());
    let (pool, isa) = machine(args.threads)?;
    if let Some(c) = &resumed {
        if let Some(why) = c
            .checkpoint
            .record
            .misplaced(config.epochs, sampler.batches())
        {
            return Err(Failure::new(
                format!("cannot continue `{}`: {why}", c.file.display()),
                "resume from another checkpoint of the run",
            ));
        }
        if let Some(computed) = &c.checkpoint.record.machine {
            computed.goes_on_with(isa).map_err(|e| {
                let why = format!("cannot continue `{}`: {e}", c.file.display());
                Failure::new(why, e.help())
            })?;
        }
    }
    let trainer_config = config.trainer(&spec.examples(), total_steps)?;
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
        return Ok(ExitCode::SUCCESS);
    }
    let mut trainer = Trainer::new(trainer_config, device, pool.clone(), isa)?;
    if config.require_ane {
        trainer.require_ane().map_err(TrainerError::from)?;
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
    let datasets = data::load(spec, &args.source.options(), &report)?;
    let run = run_dir(args.out.as_deref(), resumed.as_mut(), &config.dataset)?;
    let out = run.root().to_owned();
    let value = serde_json::to_value(&config).unwrap_or_default();
    run.write_json("config.json", &value)?;
    run.write_json("env.json", &environment(pool.threads(), isa))?;
    if let Some(c) = &resumed {
        c.carry_over(&run)?;
    }
    let best = resumed.as_ref().and_then(|c| c.best_in(&run));
    let record = resumed.as_ref().map(|c| &c.checkpoint.record);
    run.truncate_metrics(record.map_or(0, |r| r.progress.step))?;
    let train = config.examples(datasets.train);
    trainer
        .config()
        .objective
        .check(&trainer.config().model, &*train)
        .map_err(TrainerError::from)?;
    let mut fit = Fit {
        trainer,
        validation: (!validation.is_empty()).then(|| Examples {
            data: train.clone(),
            indices: validation,
        }),
        data: train,
        sampler,
        epochs: config.epochs,
        max_steps: config.max_steps,
        run,
        config: value,
        weights_metadata: config.weights_metadata(spec),
        machine: Machine::this(isa),
        position: record.map_or((0, 0), |r| r.position),
        sums: record.map_or_else(EpochSums::default, |r| r.epoch_sums.clone()),
        best,
        checkpoint_every: args.checkpoint_every,
        recovery,
    };
    say!(
        "{} on {}, {} plan on `{}` for {}, {} threads, seed {}; run directory {}",
        config.model,
        spec.title,
        config.plan.name(),
        config.device,
        config.target,
        pool.threads(),
        config.seed,
        out.display()
    );
    // What stands in for Apple's engine draws nothing there; others may.
    let is_apples = config.device == APPLE && config.replaced().is_empty();
    let meter = is_apples.then(PowerMeter::start);
    let stop = catch_interrupts();
    let mut progress = Progress::new(
        total_steps,
        fit.trainer.progress().step,
        config.epochs,
        &fit.trainer.config().metrics,
    );
    let since = Instant::now();
    let ending = fit.run(&stop, &mut |event| progress.show(event));
    let power = meter.map_or(Ok(None), PowerMeter::stop);
    progress.finish();
    let power = power.unwrap_or_else(|e| {
        remark!("note: {e}");
        None
    });
    match ending {
        Ok(Ending::Interrupted) => {
            let placement = write_placement(&fit, &config, power)?;
            say!("{}", placement_line(&placement));
            say!("{}", memory_line(&placement));
            say!(
                "interrupted; continue with: ane-trainer train --resume {}",
                out.display()
            );
            Ok(ExitCode::from(130))
        }
        Ok(Ending::Finished) => finish(fit, &config, config.examples(datasets.test), since, power),
        Err(e) => {
            // What ended the run is what is to be said, whether or not this can be written.
            let _ = write_placement(&fit, &config, power);
            Err(explained(e, &config, &fit.run))
        }
    }
}

/// Writes what ran where.
fn write_placement(
    fit: &Fit,
    config: &RunConfig,
    power: Option<Power>,
) -> Result<Placement, Failure> {
    let placement = Placement {
        power,
        ..Placement::of(&fit.trainer, config.replaced())
    };
    fit.run.write_json("placement.json", &placement)?;
    Ok(placement)
}

/// The one look at the test set, and the reports.
fn finish(
    mut fit: Fit,
    config: &RunConfig,
    test: Arc<Images>,
    since: Instant,
    power: Option<Power>,
) -> Result<ExitCode, Failure> {
    let seconds = since.elapsed().as_secs_f64();
    let mut faults = Faults::new(fit.recovery);
    let mut chosen = "last".to_owned();
    let metrics = fit.trainer.config().metrics.clone();
    if let Some((best, epoch)) = fit.best {
        let value = match metrics.first() {
            Some(metric) => metric.show(best),
            None => format!("loss {best:.4}"),
        };
        let best = Checkpoint::read(&fit.run.checkpoint("best"))?;
        faults.restore(&mut fit.trainer, best.record.progress, &best.state)?;
        chosen = format!("best, epoch {epoch} with {value} on validation");
    }
    let result = evaluate(&mut fit.trainer, &Examples::all(test), &mut faults)?;
    tell(&mut faults);
    let placement = write_placement(&fit, config, power)?;
    fit.run.write_json("result.json", &result)?;
    say!("{}", test_line(&result, &metrics, &chosen));
    say!("trained for {seconds:.1} s");
    say!("{}", placement_line(&placement));
    if let Some(line) = &placement.host_summary {
        say!("{line}");
    }
    say!("{}", memory_line(&placement));
    if let Some(power) = placement.power {
        say!("power: {power}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The last line of a run.
fn placement_line(placement: &Placement) -> String {
    let counted = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let done = &placement.done;
    let again = match done.repeated_steps {
        0 => String::new(),
        n => format!(
            " ({n} of them repeated after {})",
            counted(done.faults, "fault")
        ),
    };
    format!(
        "placement: {} nodes and {:.1} MFLOP a step on `{}`, {} for {}{again} and {}, {}",
        placement.step.nodes,
        placement.step.flops as f64 / 1e6,
        placement.device,
        match placement.dispatches {
            1 => "1 dispatch".to_owned(),
            n => format!("{n} dispatches"),
        },
        counted(done.train_steps, "training step"),
        counted(done.evaluations, "evaluation"),
        counted(placement.compiles, "compile"),
    )
}

/// The line about memory.
fn memory_line(placement: &Placement) -> String {
    format!(
        "memory: {} at the peak of a step, {} with a checkpoint",
        amount(placement.peak_bytes),
        amount(placement.memory.total())
    )
}

/// Says which faults were survived.
pub(crate) fn tell(faults: &mut Faults) {
    for message in faults.take_messages() {
        remark!("{message}; started again");
    }
}

/// The line that a test result is shown as.
pub(crate) fn test_line(
    result: &Evaluation,
    metrics: &[&'static dyn Metric],
    checkpoint: &str,
) -> String {
    format!(
        "test:{} on {} examples, loss {:.4} ({checkpoint})",
        show(&result.metrics, metrics),
        result.examples,
        result.loss
    )
}

fn environment(threads: usize, isa: ane_engine::simd::Isa) -> serde_json::Value {
    serde_json::json!({
        "ane_trainer": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "instruction_set": isa.name(),
        "threads": threads,
    })
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn catch_interrupts() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A second handler in one process cannot be set; without it Ctrl-C ends the program, and checkpoints stay good.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        remark!("finishing the step; press Ctrl-C again to stop at once");
    });
    stop
}
