//! `train`: the main job.

use super::data::{Source, report};
use crate::{
    config::{APPLE, NumericsKind, RunConfig, VALIDATION, machine},
    continuation::{carry_over, default_out, read_checkpoint, refuse_another_run, run_of},
    failure::Failure,
    progress::Progress,
    supervision::{Opened, SupervisionArgs},
};
use ane_device::{Power, PowerMeter};
use ane_ir::Route;
use ane_train::{
    Trainer, TrainerError,
    checkpoint::{Checkpoint, EpochSums},
    data::{self, Dataset, Sampler, catalog, sampler},
    fit::{Ending, Evaluation, Fit, evaluate},
    loss::Loss,
    machine::Machine,
    optim::OptimizerConfig,
    placement::{Placement, Work},
    recovery::Faults,
    run_dir::RunDir,
    schedule::Schedule,
    step::PlanKind,
};
use clap::ValueEnum;
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
    #[arg(long)]
    threads: Option<usize>,
    /// Run directory [default: runs/DATASET-TIME]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Continue a run, from its directory or one of its .ckpt files
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Steps between checkpoints; only after epochs when left out
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// Build and check the program, show what would run, and stop
    #[arg(long)]
    dry_run: bool,
}

/// The flags that decide a run's numbers.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Data set: mnist or fashion-mnist [default: mnist]
    #[arg(long)]
    dataset: Option<String>,
    /// Layer widths, such as 784-512-512-10 or 784-128-10:gelu, or mnist-mlp [default: mnist-mlp]
    #[arg(long)]
    model: Option<String>,
    /// Passes over the training examples [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    epochs: Option<u64>,
    /// Examples per step [default: 128]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    batch: Option<u32>,
    /// Peak learning rate [default: 1e-3]
    #[arg(long, value_parser = positive)]
    lr: Option<f64>,
    /// Optimizer: adam, adamw or sgd [default: adamw]
    #[arg(long)]
    optimizer: Option<String>,
    /// Momentum of sgd [default: 0]
    #[arg(long, value_parser = share)]
    momentum: Option<f64>,
    /// Nesterov's variant of sgd with momentum
    #[arg(long)]
    nesterov: bool,
    /// Weight decay [default: the optimizer's, as PyTorch]
    #[arg(long, value_parser = not_negative)]
    weight_decay: Option<f64>,
    /// Schedule of the learning rate: constant, cosine or step [default: cosine]
    #[arg(long)]
    schedule: Option<Schedule>,
    /// Share of the target that goes to all classes evenly [default: 0]
    #[arg(long, value_parser = share)]
    label_smoothing: Option<f64>,
    /// Minimise the squared error instead of the cross-entropy
    #[arg(long, conflicts_with = "label_smoothing")]
    mse: bool,
    /// Largest global norm of the gradients
    #[arg(long, value_parser = positive)]
    max_norm: Option<f64>,
    /// Seed of weights, order and validation split [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Device: apple, null, software or auto [default: auto]
    #[arg(long)]
    device: Option<String>,
    /// Whose limits and quirks hold: software, or h13 (M1) to h17 (M5) [default: software; on apple this machine's chip]
    #[arg(long)]
    target: Option<String>,
    /// How the chip is reached: e5rt, client or memory [default: what --target says, e5rt where it says nothing]
    #[arg(long, value_parser = route)]
    route: Option<Route>,
    /// Fail unless everything differentiable runs on Apple's engine
    #[arg(long)]
    require_ane: bool,
    /// Where the update runs [default: split; fused with --require-ane]
    #[arg(long)]
    plan: Option<PlanArg>,
    /// Numeric policy [default: ieee]
    #[arg(long)]
    numerics: Option<NumericsKind>,
    /// Train on all examples and keep the last checkpoint, without validation
    #[arg(long = "final")]
    whole: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PlanArg {
    /// The engine returns gradients, the host updates fp32 masters
    Split,
    /// The update runs on the engine too
    Fused,
}

pub(crate) fn route(text: &str) -> Result<Route, String> {
    Route::ALL
        .into_iter()
        .find(|r| r.name() == text)
        .ok_or_else(|| format!("no route is called `{text}`; there are e5rt, client and memory"))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|x| x.is_finite())
        .ok_or_else(|| format!("`{text}` is not a finite number"))
}

fn positive(text: &str) -> Result<f64, String> {
    number(text).and_then(|x| {
        if x > 0.0 {
            Ok(x)
        } else {
            Err(format!("{x} is not above 0"))
        }
    })
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text).and_then(|x| {
        if x >= 0.0 {
            Ok(x)
        } else {
            Err(format!("{x} is below 0"))
        }
    })
}

fn share(text: &str) -> Result<f64, String> {
    number(text).and_then(|x| {
        if (0.0..1.0).contains(&x) {
            Ok(x)
        } else {
            Err(format!("{x} is not from 0 up to 1"))
        }
    })
}

impl ConfigArgs {
    /// These flags over `base`.
    pub(crate) fn over(&self, mut base: RunConfig) -> Result<RunConfig, Failure> {
        let text = |flag: &Option<String>, field: &mut String| {
            if let Some(value) = flag {
                field.clone_from(value);
            }
        };
        text(&self.dataset, &mut base.dataset);
        text(&self.model, &mut base.model);
        text(&self.device, &mut base.device);
        if base.device == "auto" {
            base.device = ane_device::best().to_owned();
        }
        base.require_ane |= self.require_ane;
        if base.require_ane && base.device != APPLE {
            return Err(Failure::usage(
                format!(
                    "--require-ane wants Apple's engine, the device is `{}`",
                    base.device
                ),
                "`ane-trainer devices` says what can be opened here, and why not",
            ));
        }
        // One spelling of every model and target, so that configurations compare.
        base.model = base.model()?.to_string();
        base.settle_target(self.target.as_deref(), self.route)?;
        base.epochs = self.epochs.unwrap_or(base.epochs);
        base.batch = self.batch.map_or(base.batch, |b| b as usize);
        base.lr = self.lr.unwrap_or(base.lr);
        base.schedule = self.schedule.unwrap_or(base.schedule);
        base.max_norm = self.max_norm.or(base.max_norm);
        base.seed = self.seed.unwrap_or(base.seed);
        base.numerics = self.numerics.unwrap_or(base.numerics);
        base.whole |= self.whole;
        base.plan = match self.plan {
            Some(PlanArg::Split) => PlanKind::Split,
            Some(PlanArg::Fused) => PlanKind::Fused,
            None => base.plan,
        };
        if self.mse {
            base.loss = Loss::Mse;
        }
        if let Some(label_smoothing) = self.label_smoothing {
            base.loss = Loss::CrossEntropy { label_smoothing };
        }
        self.optimizer(&mut base)?;
        Ok(base)
    }

    fn optimizer(&self, base: &mut RunConfig) -> Result<(), Failure> {
        if let Some(name) = &self.optimizer
            && base.optimizer.as_dyn().name() != name
        {
            base.optimizer = OptimizerConfig::named(name).ok_or_else(|| {
                let known: Vec<&str> = OptimizerConfig::all()
                    .iter()
                    .map(|o| o.as_dyn().name())
                    .collect();
                Failure::usage(
                    format!(
                        "no optimizer is called `{name}`; there are {}",
                        known.join(", ")
                    ),
                    "see --optimizer in `ane-trainer train --help`",
                )
            })?;
        }
        match &mut base.optimizer {
            OptimizerConfig::Sgd(o) => {
                o.momentum = self.momentum.unwrap_or(o.momentum);
                o.nesterov |= self.nesterov;
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay);
                if o.nesterov && o.momentum == 0.0 {
                    return Err(Failure::usage(
                        "--nesterov needs --momentum above 0",
                        "try --momentum 0.9",
                    ));
                }
            }
            OptimizerConfig::Adam(o) => {
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay)
            }
            OptimizerConfig::AdamW(o) => {
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay)
            }
        }
        let sgd = matches!(base.optimizer, OptimizerConfig::Sgd(_));
        if !sgd && (self.momentum.is_some() || self.nesterov) {
            return Err(Failure::usage(
                format!(
                    "--momentum and --nesterov belong to sgd, the optimizer is {}",
                    base.optimizer.as_dyn().name()
                ),
                "add --optimizer sgd",
            ));
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let resumed = args.resume.as_deref().map(read_checkpoint).transpose()?;
    let config = match &resumed {
        None => {
            let mut base = RunConfig::default();
            if args.config.require_ane {
                base.plan = PlanKind::Fused;
            }
            args.config.over(base)?
        }
        Some((path, checkpoint)) => {
            let stored: RunConfig = serde_json::from_value(checkpoint.record.config.clone())
                .map_err(|e| {
                    Failure::new(
                        format!(
                            "`{}` holds a configuration that this program does not know: {e}",
                            path.display()
                        ),
                        "use the program that wrote it",
                    )
                })?;
            let asked = args.config.over(stored.clone())?;
            let diff = stored.diff(&asked);
            if !diff.is_empty() {
                return Err(Failure::new(
                    format!(
                        "`{}` is a checkpoint of another run:\n{}",
                        path.display(),
                        diff.join("\n")
                    ),
                    "leave these arguments out to continue the run, or start a new one without --resume",
                ));
            }
            stored
        }
    };
    if let (Some(out), false) = (&args.out, args.dry_run) {
        refuse_another_run(out, resumed.as_ref().map(|(path, _)| path.as_path()))?;
    }
    let spec = catalog::find(&config.dataset)?;
    let model = config.model()?;
    if model.inputs() != spec.example_len() || model.outputs() != spec.classes() {
        return Err(Failure::usage(
            format!(
                "model {model} takes {} values and gives {} classes; {} has {} and {}",
                model.inputs(),
                model.outputs(),
                spec.title,
                spec.example_len(),
                spec.classes()
            ),
            format!("write it as {}-…-{}", spec.example_len(), spec.classes()),
        ));
    }
    let held_out = if config.whole { 0 } else { VALIDATION };
    let (train, validation) = sampler::split(spec.train.examples, held_out, config.seed);
    let sampler = Sampler::new(train, config.batch, config.seed);
    let total_steps = sampler.batches() as u64 * config.epochs;
    let (pool, isa) = machine(args.threads)?;
    if let Some((path, checkpoint)) = &resumed
        && let Some(computed) = &checkpoint.record.machine
    {
        computed.goes_on_with(isa).map_err(|e| {
            Failure::new(
                format!("cannot continue `{}`: {e}", path.display()),
                e.help(),
            )
        })?;
    }
    let trainer_config = config.trainer(total_steps)?;
    let Opened {
        device,
        recovery,
        lock: _lock,
    } = args.supervision.open_device(&config, &pool, isa)?;
    let mut trainer = Trainer::new(trainer_config, device, pool.clone(), isa)?;
    if let Some((path, checkpoint)) = &resumed {
        let mut faults = Faults::new(recovery);
        faults
            .restore(&mut trainer, checkpoint.record.progress, &checkpoint.state)
            .map_err(|e| match e {
                TrainerError::State { .. } => Failure::because(
                    format!("`{}` does not fit its own configuration", path.display()),
                    e,
                    "resume from another checkpoint of the run",
                ),
                other => other.into(),
            })?;
        tell(&mut faults);
    }
    if args.dry_run {
        describe(&config, &trainer, total_steps);
        return Ok(ExitCode::SUCCESS);
    }
    let datasets = data::load(spec, &args.source.options(), &report)?;
    let run = match (&args.out, &resumed) {
        (Some(out), _) => RunDir::create(out)?,
        (None, Some((path, _))) => RunDir::create(&run_of(path))?,
        (None, None) => RunDir::create_new(&default_out(&config.dataset))?,
    };
    let out = run.root().to_owned();
    let value = serde_json::to_value(&config).unwrap_or_default();
    run.write_json("config.json", &value)?;
    run.write_json("env.json", &environment(pool.threads(), isa))?;
    if let Some((path, _)) = &resumed {
        carry_over(path, &run)?;
    }
    let record = resumed.as_ref().map(|(_, c)| &c.record);
    run.truncate_metrics(record.map_or(0, |r| r.progress.step))?;
    let mut fit = Fit {
        trainer,
        data: Arc::new(datasets.train),
        sampler,
        validation,
        epochs: config.epochs,
        run,
        config: value,
        machine: Machine::this(isa),
        position: record.map_or((0, 0), |r| r.position),
        sums: record.map_or(EpochSums::default(), |r| r.epoch_sums),
        best: record.and_then(|r| r.best),
        checkpoint_every: args.checkpoint_every,
        recovery,
    };
    println!(
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
    let mut progress = Progress::new(total_steps, fit.trainer.progress().step, config.epochs);
    let since = Instant::now();
    let ending = fit.run(&stop, &mut |event| progress.show(event));
    let power = meter.map_or(Ok(None), PowerMeter::stop);
    progress.finish();
    let power = power.unwrap_or_else(|e| {
        eprintln!("note: {e}");
        None
    });
    match ending? {
        Ending::Interrupted => {
            println!(
                "interrupted; continue with: ane-trainer train --resume {}",
                out.display()
            );
            Ok(ExitCode::from(130))
        }
        Ending::Finished => finish(fit, &config, &Arc::new(datasets.test), since, power),
    }
}

/// The one look at the test set, and the reports.
fn finish(
    mut fit: Fit,
    config: &RunConfig,
    test: &Arc<Dataset>,
    since: Instant,
    power: Option<Power>,
) -> Result<ExitCode, Failure> {
    let seconds = since.elapsed().as_secs_f64();
    let mut faults = Faults::new(fit.recovery);
    let mut chosen = "last".to_owned();
    if let Some((accuracy, epoch)) = fit.best {
        let best = Checkpoint::read(&fit.run.checkpoint("best"))?;
        faults.restore(&mut fit.trainer, best.record.progress, &best.state)?;
        chosen = format!(
            "best, epoch {epoch} with {:.2} % on validation",
            100.0 * accuracy
        );
    }
    let everything: Vec<u32> = (0..u32::try_from(test.len()).unwrap_or(u32::MAX)).collect();
    let result = evaluate(&mut fit.trainer, test, &everything, &mut faults)?;
    tell(&mut faults);
    let placement = Placement {
        power,
        ..Placement::of(&fit.trainer, config.replaced())
    };
    fit.run.write_json("placement.json", &placement)?;
    fit.run.write_json("result.json", &result)?;
    println!("{}", test_line(&result, &chosen));
    println!("trained for {seconds:.1} s");
    println!("{}", placement_line(&placement));
    if let Some(power) = placement.power {
        println!("power: {power}");
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

/// Says which faults were survived.
pub(crate) fn tell(faults: &mut Faults) {
    for message in faults.take_messages() {
        eprintln!("{message}; started again");
    }
}

/// The line that a test result is shown as.
pub(crate) fn test_line(result: &Evaluation, checkpoint: &str) -> String {
    format!(
        "test: {:.2} % of {} images right, loss {:.4} ({checkpoint})",
        100.0 * result.accuracy,
        result.examples,
        result.loss
    )
}

fn describe(config: &RunConfig, trainer: &Trainer, total_steps: u64) {
    let work = Work::of(trainer.program().graph());
    println!(
        "{}",
        serde_json::to_string_pretty(config).unwrap_or_default()
    );
    println!(
        "a step: {} nodes, {:.1} MFLOP, {} bytes in, {} bytes out; {total_steps} steps",
        work.nodes,
        work.flops as f64 / 1e6,
        work.bytes_in,
        work.bytes_out
    );
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
        eprintln!("finishing the step; press Ctrl-C again to stop at once");
    });
    stop
}
