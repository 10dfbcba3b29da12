//! A training whose steps are taken for the time that they take, and of which nothing is kept.

use crate::{
    commands::{data::report, train::ConfigArgs},
    failure::Failure,
    numbers,
    stored::Stored,
    supervision::SupervisionArgs,
    threads::machine,
};
use ane_device::EngineLock;
use ane_train::{
    Trainer, TrainerError,
    config::RunConfig,
    data::{Loader, Opened},
    fit::FitError,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Steps before the first that is timed: memory is touched, and what can be kept is packed.
const WARM_UP: u64 = 3;

/// What is trained.
#[derive(Debug, clap::Args)]
pub(crate) struct TimedArgs {
    /// A run, whose weights are trained on, or a model as --model has it; what the flags describe when left out
    #[arg(value_name = "RUN|MODEL", conflicts_with = "model")]
    asked: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
}

/// A training that is timed.
pub(crate) struct TimedTraining {
    pub(crate) config: RunConfig,
    pub(crate) trainer: Trainer,
    /// Threads, instruction set and system, in one line.
    pub(crate) machine: String,
    pub(crate) threads: usize,
    loader: Loader,
    /// Held as long as the device is used.
    _lock: Option<EngineLock>,
}

/// When a step was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) since: Instant,
    /// Waiting for examples, which comes first.
    pub(crate) data: Duration,
    /// All of it.
    pub(crate) all: Duration,
}

/// What steps took.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    pub(crate) steps: u32,
    /// Each of them.
    pub(crate) taken: Vec<Taken>,
    pub(crate) examples: usize,
    /// All of it.
    pub(crate) all: Duration,
    /// Waiting for examples.
    pub(crate) data: Duration,
    /// Programs of the engine.
    pub(crate) engine: Duration,
}

impl Phases {
    /// The rest: stages of the host, copies, metrics and the update.
    pub(crate) fn host(&self) -> Duration {
        self.all.saturating_sub(self.data + self.engine)
    }
}

impl TimedTraining {
    /// The training that the arguments ask for, ready for so many steps, after some that warm it up.
    pub(crate) fn new(args: &TimedArgs, steps: u64) -> Result<Self, Failure> {
        let options = args.config.source();
        let steps = WARM_UP + steps;
        let (pool, isa) = machine(args.threads)?;
        let system = std::env::consts::OS;
        let threads = pool.threads();
        let machine = format!("{threads} threads, {isa}, {system}");
        let asked = args.asked.as_deref().map(Path::new);
        let is_run = |path: &Path| path.is_dir() || path.extension().is_some_and(|e| e == "ckpt");
        let (config, opened, trainer, lock) = if let Some(path) = asked.filter(|p| is_run(p)) {
            let stored = Stored::read(path)?;
            let opened = Opened::of(&stored.config, Some(&stored.data), &options, &report)?;
            let restored = stored.restore(&args.supervision, args.threads)?;
            (stored.config, opened, restored.trainer, restored.lock)
        } else {
            let mut flags = args.config.clone();
            flags.model = flags.model.or_else(|| args.asked.clone());
            let mut config = RunConfig::default();
            let opened = flags.open_data(&mut config, None)?;
            let config = flags.over(config, (&opened.description, Some(opened.train_len())))?;
            let of_config = config.trainer_on(&opened.description, steps)?;
            let device = args.supervision.open_device(&config, &pool, isa)?;
            let trainer = Trainer::new(of_config, device.device, pool, isa)?;
            (config, opened, trainer, device.lock)
        };
        let sampler = opened.sampler(config.batch)?;
        let batches = sampler.batches() as u64;
        // An epoch has an update that is not whole at its end.
        let epochs = steps * config.accumulate as u64 / batches + 2;
        let loaded = opened.load(config.batch, &options, &report)?;
        let loader = Loader::start(loaded.train, sampler, config.accumulate, (0, 0), epochs);
        let mut training = Self {
            config,
            trainer,
            machine,
            threads,
            loader: loader.map_err(FitError::Loader)?,
            _lock: lock,
        };
        training.take(WARM_UP)?;
        Ok(training)
    }

    /// What is trained, in one line.
    pub(crate) fn title(&self) -> String {
        let config = &self.config;
        format!(
            "{}, {} plan on `{}` for {}, batch {}",
            config.model,
            config.plan.name(),
            config.device,
            config.target,
            config.batch
        )
    }

    /// Takes so many steps, or as many as there are.
    pub(crate) fn take(&mut self, steps: u64) -> Result<Phases, Failure> {
        let mut phases = Phases::default();
        for _ in 0..steps {
            let (since, engine) = (Instant::now(), self.trainer.engine_time());
            let Some(update) = self.loader.next_update() else {
                break;
            };
            let batches = update.map_err(TrainerError::from)?;
            let data = since.elapsed();
            phases.examples += self.trainer.train_step(&batches)?.examples;
            phases.engine += self.trainer.engine_time() - engine;
            let all = since.elapsed();
            phases.data += data;
            phases.all += all;
            phases.steps += 1;
            phases.taken.push(Taken { since, data, all });
            self.loader.recycle(batches);
        }
        Ok(phases)
    }
}
