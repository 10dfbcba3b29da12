//! A model in training on a device: its store, its programs, and one step.

mod average;
mod batch_ports;
mod config;
mod decoding;
mod entries;
mod homes;
mod inference;
mod probe;
mod progress;
mod repeat;
mod seeds;
mod state;
mod watch;

pub use config::TrainerConfig;
pub use decoding::{Decoding, DecodingError, inputs as decoding_inputs};
pub use inference::Evaluated;
pub use probe::Probed;
pub use progress::{Done, Progress, StepOutcome};
pub use repeat::BatchNumbers;

use crate::{
    data::Batch,
    error::TrainerError,
    loss_scale::LossScale,
    memory::{self, Footprint},
    metric::Tally,
    model::Parameter,
    optim::StepInfo,
    profile::Profile,
    program::{Compiled, HostEngine, Program, Stored},
    stage::{NotOnEngine, Staged},
    step::{self, Step},
    store::{EntryId, Store},
    update::{ParameterGroup, Update},
};
use ane_device::Device;
use ane_engine::{Pool, simd::Isa};
use batch_ports::{BatchPorts, Divisor};
use inference::Inference;
use std::{sync::Arc, time::Duration};
use watch::Watch;

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    config: TrainerConfig,
    device: Box<dyn Device>,
    host: HostEngine,
    store: Store,
    step: Step,
    program: Program,
    /// What programs of all purposes read of the store.
    stored: Stored,
    update: Box<dyn Update>,
    io: BatchPorts,
    /// Compiled when it is first used.
    evaluation: Option<Inference>,
    /// Compiled when it is first used.
    prediction: Option<Inference>,
    progress: Progress,
    done: Done,
    footprint: Footprint,
    /// The largest number of a step that was taken.
    furthest_step: u64,
    requires_ane: bool,
    /// Entries of averages, each with that of its weight.
    averages: Vec<(EntryId, EntryId)>,
    /// What is looked at, where something is.
    watch: Option<Watch>,
}

impl Trainer {
    /// Compiles the training step and sets up its state with initial weights.
    ///
    /// # Errors
    /// When the step cannot be built, is illegal on the device's target, or the device refuses it; when the plan cannot
    /// do what the configuration asks.
    pub fn new(
        config: TrainerConfig,
        device: Box<dyn Device>,
        pool: Arc<Pool>,
        isa: Isa,
    ) -> Result<Self, TrainerError> {
        let (step, staged) = config.staged_step(device.target())?;
        let mut footprint = memory::of_training(&config, &step, &staged, &*device);
        footprint.must_fit()?;
        let host = HostEngine::new(pool, isa);
        let compiled = Compiled::new(staged, &*device, &host)?;
        let keeping = memory::training_ports(&config, &step);
        compiled.add_to(&mut footprint, &host, keeping);
        footprint.must_fit()?;
        let (mut store, weights, stored) = entries::make_store(&config, &step, &*device)?;
        // Before the program has its memory: what a large weight takes while it is drawn is free again by then.
        entries::write_initial(&config, &mut store, &weights)?;
        device.health()?;
        let program = compiled.bind(&*device, &host, &stored)?;
        let update = entries::make_update(&config, &step, &program, &store, &weights, isa);
        let mut trainer = Self {
            io: BatchPorts::new(&config.objective, &config.model.train, &step),
            averages: average::pairs(&store),
            config,
            device,
            host,
            store,
            step,
            program,
            stored,
            footprint,
            update,
            evaluation: None,
            prediction: None,
            progress: Progress::default(),
            done: Done::default(),
            furthest_step: 0,
            requires_ane: false,
            watch: None,
        };
        trainer.average(1)?;
        Ok(trainer)
    }

    /// The configuration.
    pub fn config(&self) -> &TrainerConfig {
        &self.config
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// The training step in stages.
    pub fn stages(&self) -> &Staged {
        self.program.staged()
    }

    /// Has programs of all purposes refused that leave more to the host than the engine is known to lack.
    ///
    /// # Errors
    /// When the training step does.
    pub fn require_ane(&mut self) -> Result<(), NotOnEngine> {
        self.requires_ane = true;
        self.stages().require_ane()
    }

    /// The training step.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The memory that training holds, and evaluation once it was used.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Every tensor that outlives a step.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The model's parameters.
    pub fn parameters(&self) -> &[Parameter] {
        &self.config.model.parameters
    }

    /// Counters.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How long the programs of the training step have run on the engine.
    pub fn engine_time(&self) -> Duration {
        self.program.engine_time()
    }

    /// What the device has done for this trainer.
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// Replaces the loss scale.
    pub fn set_loss_scale(&mut self, scale: LossScale) {
        self.progress.loss_scale = scale;
    }

    /// Replaces the peak learning rate, for loops that move it themselves.
    pub fn set_lr(&mut self, lr: f64) {
        self.config.lr = lr;
    }

    /// Replaces the groups of parameters and all settings of their updates, for loops that move those themselves. What is
    /// in none is not updated.
    ///
    /// # Errors
    /// When the plan has no groups, or an optimizer wants state that the trainer was not made for.
    pub fn set_groups(&mut self, groups: &[ParameterGroup]) -> Result<(), TrainerError> {
        self.update.regroup(groups)
    }

    /// Learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.config
            .schedule
            .at(self.progress.step, self.config.total_steps, self.config.lr)
    }

    /// Starts the device again after a fault. State and counters must be restored before the next step.
    ///
    /// # Errors
    /// When the device cannot do that, or fails again.
    pub fn recover(&mut self) -> Result<(), TrainerError> {
        self.done.faults += 1;
        Ok(self.device.recover()?)
    }

    /// One training step: one dispatch for each batch, whose divisors are that of all of them, and one update.
    ///
    /// # Errors
    /// When a batch does not fit, or the device fails; state and counters are not to be relied on then.
    pub fn train_step(&mut self, batches: &[Batch]) -> Result<StepOutcome, TrainerError> {
        let scale = self.progress.loss_scale.get();
        let divisor = Divisor::of_step(&self.config.objective, batches);
        let at = self.step_info(&self.progress, divisor);
        self.update.prepare(&at, &self.program)?;
        self.program.port(step::LOSS_SCALE).copy_in(&[scale])?;
        let mut overflow = false;
        let mut loss = 0.0;
        let mut tallies = vec![Tally::default(); self.config.metrics.len()];
        let mut statistics = Vec::new();
        for (i, batch) in batches.iter().enumerate() {
            self.io.upload(&self.step, &self.program, batch, divisor)?;
            seeds::fill(
                &self.step.randoms,
                &self.program,
                self.config.seed,
                self.progress.step,
                i,
            )?;
            self.program.execute(self.store.current())?;
            self.io.read_outputs(&self.step, &self.program);
            let largest = self.program.scalar(step::LARGEST_GRADIENT);
            if !self.accepts(&at, largest, batch) && !std::mem::replace(&mut overflow, true) {
                self.saw_overflow(scale)?;
            }
            loss += f64::from(self.program.scalar(step::LOSS)) / divisor.left();
            self.io.measure(&self.config, batch, &mut tallies);
            if overflow {
                // Whatever else the update is made of, it is skipped.
                continue;
            }
            self.saw_batch(i == 0);
            self.update.accumulate(self.host.pool(), i);
            for s in &self.step.statistics {
                statistics.push((
                    s.statistic,
                    self.program.port(&s.port).copy_out(),
                    batch.present(),
                ));
            }
        }
        let mut grad_norm = None;
        if !overflow {
            self.saw_step(loss)?;
            grad_norm = self.update.apply(self.host.pool(), at, &mut self.store);
            self.add_statistics(&statistics)?;
            self.average(at.t)?;
        }
        // What was read above, gradients included, may have come from a device that is lost.
        self.device.health()?;
        let outcome = StepOutcome {
            loss: loss as f32,
            examples: batches.iter().map(Batch::present).sum(),
            tallies,
            overflow,
            lr: at.lr,
            loss_scale: scale,
            grad_norm,
        };
        self.count(overflow);
        Ok(outcome)
    }

    /// What is known of a step that is taken at `progress`.
    fn step_info(&self, progress: &Progress, divisor: Divisor) -> StepInfo {
        let TrainerConfig {
            schedule,
            total_steps,
            lr,
            ..
        } = &self.config;
        StepInfo {
            t: progress.updates + 1,
            lr: schedule.at(progress.step, *total_steps, *lr),
            // Gradients carry the scale, and the factor by which the programs' divisor is not that of the mean.
            loss_scale: f64::from(progress.loss_scale.get()) * divisor.left(),
            clip: 1.0,
        }
    }

    /// Whether what the program has made of a batch, whose outputs were read, may be used.
    fn accepts(&self, at: &StepInfo, largest_gradient: f32, batch: &Batch) -> bool {
        LossScale::accepts(largest_gradient)
            && self.io.forward_is_finite(&self.step, &self.program, batch)
            && !self.update.overflows(at, largest_gradient, &self.program)
    }

    fn count(&mut self, overflow: bool) {
        self.progress.step += 1;
        self.done.train_steps += 1;
        if self.progress.step > self.furthest_step {
            self.furthest_step = self.progress.step;
        } else {
            self.done.repeated_steps += 1;
        }
        if overflow {
            self.progress.skipped += 1;
        } else {
            self.progress.updates += 1;
        }
        self.progress.loss_scale.record(overflow);
    }

    /// Times the parts of training steps from now on, and adds what they take to a profile.
    pub fn start_profile(&mut self, profile: Profile) {
        self.program.start_profile(profile);
    }

    /// What the parts of training steps took since they are timed; they are no longer.
    pub fn take_profile(&mut self) -> Profile {
        self.program.take_profile()
    }

    /// Gradient of a parameter from the last batch of the last step, unscaled; split plan only.
    pub fn gradient(&self, parameter: usize) -> Option<Vec<f32>> {
        let at = self.step.trained.iter().position(|&i| i == parameter)?;
        let port = self.step.gradients.get(at)?;
        let scale = self.program.scalar(step::LOSS_SCALE);
        let raw = homes::view(&self.step, &self.program, port).copy_out();
        Some(raw.into_iter().map(|g| g / scale).collect())
    }
}
