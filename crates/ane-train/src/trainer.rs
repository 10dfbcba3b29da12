//! A model in training on a device: its store, its programs, and one step.

mod batch_ports;
mod homes;
mod inference;
mod seeds;
mod state;

pub use inference::Evaluated;

use crate::{
    data::Batch,
    error::TrainerError,
    loss_scale::LossScale,
    memory::Footprint,
    metric::{Metric, Tally},
    model::{Model, Parameter},
    objective::Objective,
    optim::{OptimizerConfig, StepInfo},
    program::{Compiled, Program, Stored},
    schedule::Schedule,
    step::{self, PlanKind, Step, StepConfig},
    store::{BUFFER, EntryId, Store, WEIGHT},
    update::{Fused, Groups, Split, Update, Updated},
};
use ane_device::{Buffer, Device};
use ane_engine::{Pool, simd::Isa};
use ane_ir::Target;
use ane_mil::LegalGraph;
use batch_ports::{BatchPorts, Divisor};
use half::f16;
use homes::Homes;
use inference::Inference;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is trained and how.
#[derive(Debug, Clone)]
pub struct TrainerConfig {
    /// The model.
    pub model: Model,
    /// What is minimised.
    pub objective: Objective,
    /// What is measured besides, of the objective's first output and target.
    pub metrics: Vec<&'static dyn Metric>,
    /// Where the update runs.
    pub plan: PlanKind,
    /// Who updates.
    pub optimizer: OptimizerConfig,
    /// Parameters with settings of their own.
    pub groups: Groups,
    /// Peak learning rate.
    pub lr: f64,
    /// How it moves.
    pub schedule: Schedule,
    /// Steps of the whole run, for the schedule.
    pub total_steps: u64,
    /// Largest global norm of the gradients, if clipped.
    pub max_norm: Option<f64>,
    /// Batches whose gradients make an update, at least 1.
    pub accumulate: usize,
    /// Seed of the initial weights, and of what layers draw.
    pub seed: u64,
}

impl TrainerConfig {
    /// The training step for a target, with its ports packed where a request holds fewer.
    ///
    /// # Errors
    /// When the step cannot be built, or the plan cannot do what is asked.
    pub fn training_step(&self, target: &Target) -> Result<Step, TrainerError> {
        self.check()?;
        let mut step = Step::train(&StepConfig {
            model: &self.model,
            objective: &self.objective,
            plan: self.plan,
            optimizer: self.optimizer.as_dyn(),
            max_norm: self.max_norm,
            target: *target,
        })?;
        homes::pack_training(&mut step, self, target)?;
        Ok(step)
    }

    /// Whether the plan can do what is asked.
    fn check(&self) -> Result<(), TrainerError> {
        let refused = [
            (
                self.accumulate > 1,
                "accumulate gradients",
                "its program updates the weights of every batch",
            ),
            (
                !self.groups.is_empty(),
                "have parameter groups",
                "its program has one set of scalars for all parameters",
            ),
        ];
        for (is_asked, what, reason) in refused {
            if self.plan == PlanKind::Fused && is_asked {
                return Err(TrainerError::NotFused { what, reason });
            }
        }
        Ok(())
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// Mean loss of the examples.
    pub loss: f32,
    /// Examples.
    pub examples: usize,
    /// Of the metrics, in the trainer's order.
    pub tallies: Vec<Tally>,
    /// Whether gradients or state overflowed, so that nothing was changed.
    pub overflow: bool,
    /// Learning rate of the step.
    pub lr: f64,
    /// Loss scale of the step.
    pub loss_scale: f32,
    /// Global norm of the gradients before clipping, where the host computed it.
    pub grad_norm: Option<f64>,
}

/// Counters that a resumed run continues.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken, skipped ones included.
    pub step: u64,
    /// Updates made: Adam's t.
    pub updates: u64,
    /// Steps skipped for overflow.
    pub skipped: u64,
    /// The loss scale.
    pub loss_scale: LossScale,
}

/// What a trainer has had its device do, unlike [`Progress`] not continued by a resumed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// Training steps, repeated ones included.
    pub train_steps: u64,
    /// Steps among them that had been taken before a fault of the device.
    pub repeated_steps: u64,
    /// Batches evaluated.
    pub evaluations: u64,
    /// Faults after which the device was started again.
    pub faults: u64,
}

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    config: TrainerConfig,
    device: Box<dyn Device>,
    pool: Arc<Pool>,
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
        let step = config.training_step(device.target())?;
        let mut footprint = Footprint::of(
            &step.graph,
            state_bytes(&config, &step),
            config.plan == PlanKind::Split,
        );
        footprint.must_fit()?;
        let compiled = Compiled::new(&step.graph, &*device, &mut footprint)?;
        let (store, weights, stored) = make_store(&config, &step, &*device)?;
        let program = compiled.bind(&step.graph, &*device, &stored)?;
        let update: Box<dyn Update> = match config.plan {
            PlanKind::Fused => Box::new(Fused {
                optimizer: config.optimizer.clone(),
                max_norm: config.max_norm,
            }),
            PlanKind::Split => {
                let updated: Vec<Updated<'_>> = step
                    .trained
                    .iter()
                    .zip(&step.gradients)
                    .map(|(&i, port)| {
                        let parameter = &config.model.parameters[i];
                        let state = config.optimizer.as_dyn().state().iter();
                        let state = state.filter_map(|role| store.find(role, &parameter.path));
                        Updated {
                            parameter,
                            entries: std::iter::once(weights[i]).chain(state).collect(),
                            gradient: homes::view(&step, &program, port),
                        }
                    })
                    .collect();
                Box::new(Split::new(
                    &config.optimizer,
                    &config.groups,
                    config.max_norm,
                    config.accumulate > 1,
                    &updated,
                    &store,
                    isa,
                ))
            }
        };
        let mut trainer = Self {
            io: BatchPorts::new(&config.objective, &step),
            config,
            device,
            pool,
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
        };
        let seed = trainer.config.seed;
        let parameters = trainer.config.model.parameters.iter().enumerate();
        let initial: Vec<Vec<f32>> = parameters.map(|(i, p)| p.initial(seed, i)).collect();
        trainer.set_weights(&initial)?;
        for buffer in &trainer.config.model.buffers {
            if let Some(id) = trainer.store.find(BUFFER, &buffer.path) {
                let values = vec![buffer.initial; buffer.shape.numel()];
                trainer.store.write(id, &values)?;
            }
        }
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

    /// The program of a training step.
    pub fn program(&self) -> &LegalGraph {
        self.program.legal()
    }

    /// The training step.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The memory that training holds.
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

    /// What the device has done for this trainer.
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// Replaces the loss scale.
    pub fn set_loss_scale(&mut self, scale: LossScale) {
        self.progress.loss_scale = scale;
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
        let total = batches.first().map_or(0.0, |b| f64::from(b.divisor));
        let divisor = Divisor::of(total, batches.len());
        let at = StepInfo {
            t: self.progress.updates + 1,
            lr: self.lr(),
            // Gradients carry the scale, and the factor by which the programs' divisor is not that of the mean.
            loss_scale: f64::from(scale) * divisor.left(),
            clip: 1.0,
        };
        self.update.prepare(&at, &self.program)?;
        self.program.port(step::LOSS_SCALE).copy_in(&[scale])?;
        let mut overflow = false;
        let mut loss = 0.0;
        let mut tallies = vec![Tally::default(); self.config.metrics.len()];
        let mut statistics = Vec::new();
        for (i, batch) in batches.iter().enumerate() {
            self.io.upload(&self.step, &self.program, batch, divisor)?;
            self.draw(i)?;
            self.program.execute(self.store.current())?;
            self.io.read_outputs(&self.step, &self.program);
            let largest = self.program.scalar(step::LARGEST_GRADIENT);
            overflow |= !LossScale::accepts(largest)
                || !self.io.forward_is_finite(&self.step, &self.program, batch)
                || self.update.overflows(&at, largest, &self.program);
            loss += f64::from(self.program.scalar(step::LOSS)) / divisor.left();
            self.io.measure(&self.config, batch, &mut tallies);
            if overflow {
                // Whatever else the update is made of, it is skipped.
                continue;
            }
            self.update.accumulate(&self.pool, i);
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
            grad_norm = self.update.apply(&self.pool, at, &mut self.store);
            self.add_statistics(&statistics)?;
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

    /// Fills the random inputs for batch `batch` of this step.
    fn draw(&self, batch: usize) -> Result<(), TrainerError> {
        for random in &self.step.randoms {
            let mut draw = seeds::Draw::new(
                self.config.seed,
                self.progress.step,
                batch,
                &random.path,
                random.ordinal,
            );
            let n = random.shape.numel();
            let mask: Vec<u16> = (0..n)
                .map(|_| f16::from_f32(random.element(draw.unit())).to_bits())
                .collect();
            self.program.port(&random.port).copy_in_bits(&mask)?;
        }
        Ok(())
    }

    /// Moves the running statistics by those of the batches of a step, in order.
    fn add_statistics(
        &mut self,
        statistics: &[(crate::model::Statistic, Vec<f32>, usize)],
    ) -> Result<(), TrainerError> {
        for (statistic, of_batch, present) in statistics {
            let path = &self.config.model.buffers[statistic.buffer].path;
            let Some(id) = self.store.find(BUFFER, path) else {
                continue;
            };
            let running = self.store.read(id);
            let next: Vec<f32> = running
                .iter()
                .zip(of_batch)
                .map(|(&running, &batch)| statistic.update(running, batch, *present))
                .collect();
            self.store.write(id, &next)?;
        }
        Ok(())
    }

    /// Loss and metrics of a batch, changing nothing, by the inference program. The loss is NaN where it was made of
    /// infinite numbers, whatever the engine made of them.
    ///
    /// # Errors
    /// When the batch does not fit, or the device fails.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<Evaluated, TrainerError> {
        let evaluation = match &mut self.evaluation {
            Some(compiled) => compiled,
            empty => empty.insert(Inference::evaluation(
                &self.config,
                &self.step,
                &*self.device,
                &self.store,
                &self.stored,
            )?),
        };
        let result = evaluation.evaluate(&self.config, &self.store, batch)?;
        self.device.health()?;
        self.done.evaluations += 1;
        Ok(result)
    }

    /// The model's outputs for a batch, by name and row by row, padding left out.
    ///
    /// # Errors
    /// When the batch does not fit, or the device fails.
    pub fn predict(&mut self, batch: &Batch) -> Result<Vec<(String, Vec<f32>)>, TrainerError> {
        let prediction = match &mut self.prediction {
            Some(compiled) => compiled,
            empty => empty.insert(Inference::prediction(
                &self.config,
                &self.step,
                &*self.device,
                &self.store,
                &self.stored,
            )?),
        };
        let outputs = prediction.predict(&self.store, batch)?;
        self.device.health()?;
        Ok(outputs)
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

/// Bytes of weights, of what the optimizer keeps, and of summed gradients.
fn state_bytes(config: &TrainerConfig, step: &Step) -> u64 {
    let values = |i: usize| config.model.parameters[i].shape.numel() as u64;
    let all: u64 = (0..config.model.parameters.len()).map(values).sum();
    let trained: u64 = step.trained.iter().map(|&i| values(i)).sum();
    let roles = config.optimizer.as_dyn().state().len() as u64;
    let sums = u64::from(config.accumulate > 1);
    4 * (all + (roles + sums) * trained)
}

/// Entries for everything that the step reads and writes, the weights' by position, and the ports that they are bound to.
fn make_store(
    config: &TrainerConfig,
    step: &Step,
    device: &dyn Device,
) -> Result<(Store, Vec<EntryId>, Stored), TrainerError> {
    let sets = match config.plan {
        PlanKind::Split => 1,
        PlanKind::Fused => 2,
    };
    let homes = Homes::new(device, step, sets)?;
    let mut store = Store::default();
    let mut ports = homes.ports();
    let pair = |store: &mut Store, role: &'static str, p: &Parameter, old: &str| {
        let half = |set, suffix: &str| homes.of(&format!("{old}{suffix}"), &p.shape, set);
        let of_set =
            |set| -> Result<[Buffer; 2], TrainerError> { Ok([half(set, "")?, half(set, "_lo")?]) };
        Ok::<_, TrainerError>(store.add_pair(role, &p.path, &p.shape, [of_set(0)?, of_set(1)?]))
    };
    let mut weights = Vec::new();
    for (i, p) in config.model.parameters.iter().enumerate() {
        weights.push(
            if config.plan == PlanKind::Fused && step.trained.contains(&i) {
                pair(&mut store, WEIGHT, p, &p.port())?
            } else {
                let rounded = homes.of(&p.port(), &p.shape, 0)?;
                if !homes.packs(&p.port()) {
                    ports.insert(p.port(), vec![rounded.clone()]);
                }
                store.add_host(WEIGHT, &p.path, &p.shape, Some(rounded))
            },
        );
    }
    for role in config.optimizer.as_dyn().state() {
        for &i in &step.trained {
            let p = &config.model.parameters[i];
            match config.plan {
                PlanKind::Fused => {
                    pair(&mut store, role, p, &format!("{role}_{}", p.identifier()))?
                }
                PlanKind::Split => store.add_host(role, &p.path, &p.shape, None),
            };
        }
    }
    for b in &config.model.buffers {
        store.add_host(BUFFER, &b.path, &b.shape, None);
    }
    for s in step.state.iter().filter(|s| !homes.packs(&s.old)) {
        let path = &config.model.parameters[s.parameter].path;
        let id = store.find(s.role, path);
        if let Some([a, b]) = id.and_then(|id| store.halves(id, s.low)) {
            ports.insert(s.old.clone(), vec![a.clone(), b.clone()]);
            ports.insert(s.new.clone(), vec![b, a]);
        }
    }
    Ok((store, weights, ports))
}
