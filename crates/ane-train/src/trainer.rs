//! A model in training on a device: buffers, bindings, the step and its state.

mod state;

pub(crate) use state::unsound;
pub use state::{NamedWeight, State, StateTensor};

use crate::{
    data::Batch,
    loss::Loss,
    loss_scale::LossScale,
    model::Parameter,
    nn::Sequential,
    optim::{HostUpdate, OptimizerConfig, StepInfo, pair},
    schedule::Schedule,
    step::{self, PlanKind, StepConfig, StepError, TrainStep},
};
use ane_device::{Bound, Buffer, Device, DeviceError, Port};
use ane_engine::{Pool, SharedBuffer, simd::Isa};
use ane_ir::{
    Graph, Target,
    passes::{self, PassError},
};
use ane_mil::{LegalGraph, Violation};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What is trained and how.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerConfig {
    /// The model.
    pub model: Sequential,
    /// What is minimised.
    pub loss: Loss,
    /// Examples per step.
    pub batch: usize,
    /// Where the update runs.
    pub plan: PlanKind,
    /// Who updates.
    pub optimizer: OptimizerConfig,
    /// Peak learning rate.
    pub lr: f64,
    /// How it moves.
    pub schedule: Schedule,
    /// Steps of the whole run, for the schedule.
    pub total_steps: u64,
    /// Largest global norm of the gradients, if clipped.
    pub max_norm: Option<f64>,
    /// Seed of the initial weights.
    pub seed: u64,
}

/// A step cannot be compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// The step could not be built.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A pass failed: our bug.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The target forbids the program.
    #[error("the training step breaks {} of {target}'s rules: {}", .violations.len(), list(.violations))]
    Illegal {
        /// The target.
        target: Target,
        /// Every broken rule.
        violations: Vec<Violation>,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device failed again and again.
    #[error(
        "the device failed {faults} times in a row without getting further, though it was started again each time"
    )]
    GaveUp {
        /// How often.
        faults: u32,
        /// What it failed with at last.
        source: DeviceError,
    },
    /// Stored state does not fit the model.
    #[error(
        "the stored state has no tensor `{name}` of {expected} values, found {found}; it belongs to another model or plan"
    )]
    State {
        /// Name of the tensor.
        name: String,
        /// Values expected.
        expected: usize,
        /// What there is.
        found: String,
    },
}

fn list(violations: &[Violation]) -> String {
    let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// The legal form of a training step for a target.
///
/// # Errors
/// When a pass fails or the target forbids the result.
pub fn legalize(graph: &Graph, target: &Target) -> Result<LegalGraph, TrainerError> {
    let legal = passes::run(graph, target, passes::LEGALIZE)?;
    ane_mil::check(legal, target).map_err(|violations| TrainerError::Illegal {
        target: *target,
        violations,
    })
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOutcome {
    /// Mean loss of the batch.
    pub loss: f32,
    /// Examples whose largest logit is their class.
    pub correct: usize,
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
    legal: LegalGraph,
    step: TrainStep,
    ports: BTreeMap<String, Buffer>,
    /// Split: one binding. Fused: state A to B, and back.
    bound: Vec<Box<dyn Bound>>,
    /// Which binding runs next, and so which set of state is current.
    current: usize,
    /// Both sets of fused state, in the order of `step.state`.
    sets: Vec<Vec<Buffer>>,
    host: Option<Host>,
    progress: Progress,
    done: Done,
    /// The largest number of a step that was taken.
    furthest_step: u64,
    logits: Vec<f32>,
}

#[derive(Debug)]
struct Host {
    update: Box<dyn HostUpdate>,
    /// Per parameter: master and optimizer state.
    state: Vec<Vec<SharedBuffer>>,
}

impl Trainer {
    /// Compiles the step and sets up its state with initial weights.
    ///
    /// # Errors
    /// When the step cannot be built, is illegal on the device's target, or the device refuses it.
    pub fn new(
        config: TrainerConfig,
        device: Box<dyn Device>,
        pool: Arc<Pool>,
        isa: Isa,
    ) -> Result<Self, TrainerError> {
        let step = TrainStep::build(&StepConfig {
            model: &config.model,
            loss: config.loss,
            batch: config.batch,
            plan: config.plan,
            optimizer: config.optimizer.as_dyn(),
            max_norm: config.max_norm,
        })?;
        let legal = legalize(&step.graph, device.target())?;
        let program = device.compile(&legal)?;
        let mut ports = BTreeMap::new();
        for Port { name, ty } in <[_; 2]>::from(Port::of(&step.graph)).concat() {
            ports.insert(name, device.allocate(&ty)?);
        }
        let mut sets = Vec::new();
        let mut bound = Vec::new();
        if config.plan == PlanKind::Fused {
            for name in [
                |s: &step::StatePort| s.old.clone(),
                |s: &step::StatePort| s.new.clone(),
            ] {
                sets.push(
                    step.state
                        .iter()
                        .map(|s| ports[&name(s)].clone())
                        .collect::<Vec<_>>(),
                );
            }
            for (old, new) in [(0, 1), (1, 0)] {
                let mut all = ports.clone();
                for (i, s) in step.state.iter().enumerate() {
                    all.insert(s.old.clone(), sets[old][i].clone());
                    all.insert(s.new.clone(), sets[new][i].clone());
                }
                bound.push(program.bind(&pairs(&all))?);
            }
        } else {
            bound.push(program.bind(&pairs(&ports))?);
        }
        let mut trainer = Self {
            logits: vec![0.0; config.batch * config.model.outputs()],
            host: None,
            config,
            device,
            pool,
            legal,
            step,
            ports,
            bound,
            current: 0,
            sets,
            progress: Progress::default(),
            done: Done::default(),
            furthest_step: 0,
        };
        if trainer.config.plan == PlanKind::Split {
            trainer.host = Some(trainer.make_host(isa));
        }
        let weights: Vec<Vec<f32>> = trainer
            .step
            .parameters
            .iter()
            .enumerate()
            .map(|(i, p)| p.initial(trainer.config.seed, i))
            .collect();
        trainer.set_weights(&weights)?;
        Ok(trainer)
    }

    fn make_host(&self, isa: Isa) -> Host {
        let optimizer = self.config.optimizer.as_dyn();
        let mut state = Vec::new();
        let mut parameters = Vec::new();
        for (p, gradient) in self.step.parameters.iter().zip(&self.step.gradients) {
            let len = p.shape.numel();
            let buffers: Vec<SharedBuffer> = (0..=optimizer.state().len())
                .map(|_| SharedBuffer::new(4 * len))
                .collect();
            state.push(buffers.clone());
            parameters.push(ane_engine::Parameter {
                len,
                gradient: self.ports[gradient].strided(),
                weight: self.ports[&step::weight_port(p)].strided(),
                state: buffers,
            });
        }
        Host {
            update: optimizer.host(isa, parameters),
            state,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &TrainerConfig {
        &self.config
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// The program that runs.
    pub fn program(&self) -> &LegalGraph {
        &self.legal
    }

    /// Trainable tensors.
    pub fn parameters(&self) -> &[Parameter] {
        &self.step.parameters
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

    /// Writes a batch and its scalars to the device.
    fn upload(&self, batch: &Batch) -> Result<(), TrainerError> {
        self.ports[step::INPUT].copy_in_bits(&batch.x)?;
        self.ports[step::TARGET].copy_in_bits(&batch.target)?;
        self.ports[step::WEIGHT].copy_in_bits(&batch.weight)?;
        let scale = self.progress.loss_scale.get();
        self.ports[step::LOSS_SCALE].copy_in(&[scale])?;
        Ok(())
    }

    fn upload_fused_scalars(&self, at: &StepInfo) -> Result<(), TrainerError> {
        let optimizer = self.config.optimizer.as_dyn();
        self.ports[step::UNSCALE].copy_in(&[step::unscale_value(at.loss_scale) as f32])?;
        if let Some(max_norm) = self.config.max_norm {
            let units = (max_norm * pair::GRADIENT_UNIT).min(65_504.0);
            self.ports[step::MAX_NORM].copy_in(&[units as f32])?;
        }
        for (name, value) in optimizer.scalars().iter().zip(optimizer.scalar_values(at)) {
            self.ports[*name].copy_in(&[value as f32])?;
        }
        Ok(())
    }

    fn scalar(&self, port: &str) -> f32 {
        let mut x = [0.0];
        self.ports[port].copy_out_to(&mut x);
        x[0]
    }

    /// Learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.config
            .schedule
            .at(self.progress.step, self.config.total_steps, self.config.lr)
    }

    fn step_info(&self) -> StepInfo {
        StepInfo {
            t: self.progress.updates + 1,
            lr: self.lr(),
            loss_scale: f64::from(self.progress.loss_scale.get()),
            clip: 1.0,
        }
    }

    /// Starts the device again after a fault. State and counters must be restored before the next step.
    ///
    /// # Errors
    /// When the device cannot do that, or fails again.
    pub fn recover(&mut self) -> Result<(), TrainerError> {
        self.done.faults += 1;
        Ok(self.device.recover()?)
    }

    /// One training step: one dispatch.
    ///
    /// # Errors
    /// When the device fails; state and counters are not to be relied on then.
    pub fn train_step(&mut self, batch: &Batch) -> Result<StepOutcome, TrainerError> {
        let mut at = self.step_info();
        self.upload(batch)?;
        if self.host.is_none() {
            self.upload_fused_scalars(&at)?;
        }
        self.bound[self.current].execute()?;
        let largest = self.scalar(step::LARGEST_GRADIENT);
        let mut overflow = !LossScale::accepts(largest);
        overflow |= !self.scalar(step::LARGEST_ACTIVATION).is_finite();
        if self.host.is_none() {
            overflow |= !step::accepts_state(self.scalar(step::LARGEST_STATE));
            // Clipped gradients fit; others may leave fp16 in the update's units, where infinity does not survive.
            let in_units = f64::from(largest) * step::unscale_value(at.loss_scale);
            overflow |= self.config.max_norm.is_none() && !step::accepts_gradient(in_units);
        }
        let loss = self.scalar(step::LOSS);
        let (correct, finite) = self.answers(batch);
        overflow |= !finite;
        let mut grad_norm = None;
        match &self.host {
            Some(host) if !overflow => {
                if let Some(max_norm) = self.config.max_norm {
                    let norm = host.update.sum_of_squares(&self.pool).sqrt() / at.loss_scale;
                    // As torch.nn.utils.clip_grad_norm_.
                    at.clip = (max_norm / (norm + 1e-6)).min(1.0);
                    grad_norm = Some(norm);
                }
                host.update.apply(&self.pool, &at);
            }
            None if !overflow => self.current = 1 - self.current,
            _ => {}
        }
        // What was read above, gradients included, may have come from a device that is lost.
        self.device.health()?;
        let outcome = StepOutcome {
            loss,
            correct,
            overflow,
            lr: at.lr,
            loss_scale: self.progress.loss_scale.get(),
            grad_norm,
        };
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
        Ok(outcome)
    }

    /// Loss and correct answers of a batch, changing nothing: the same program, its gradients or new state unread. The
    /// loss is NaN where it was made of infinite numbers, whatever the engine made of them.
    ///
    /// # Errors
    /// When the device fails.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<(f32, usize), TrainerError> {
        self.upload(batch)?;
        if self.host.is_none() {
            self.upload_fused_scalars(&self.step_info())?;
        }
        self.bound[self.current].execute()?;
        let (correct, finite) = self.answers(batch);
        let finite = finite && self.scalar(step::LARGEST_ACTIVATION).is_finite();
        let loss = self.scalar(step::LOSS);
        let result = (if finite { loss } else { f32::NAN }, correct);
        self.device.health()?;
        self.done.evaluations += 1;
        Ok(result)
    }

    /// Logits [B, K] of the last batch.
    pub fn logits(&mut self) -> &[f32] {
        self.ports[step::LOGITS].copy_out_to(&mut self.logits);
        &self.logits
    }

    /// Gradient of a parameter from the last step, unscaled; split plan only.
    pub fn gradient(&self, parameter: usize) -> Option<Vec<f32>> {
        let port = self.step.gradients.get(parameter)?;
        let scale = self.scalar(step::LOSS_SCALE);
        Some(
            self.ports[port]
                .copy_out()
                .into_iter()
                .map(|g| g / scale)
                .collect(),
        )
    }

    /// How many examples are answered right, and whether all their logits are finite, as they are made of the last
    /// product and more.
    fn answers(&mut self, batch: &Batch) -> (usize, bool) {
        let k = self.config.model.outputs();
        self.ports[step::LOGITS].copy_out_to(&mut self.logits);
        let rows = self.logits.chunks_exact(k);
        let (mut correct, mut finite) = (0, true);
        for (label, row) in batch.labels.iter().zip(rows) {
            correct += usize::from(argmax(row) == usize::from(*label));
            finite &= row.iter().all(|x| x.is_finite());
        }
        (correct, finite)
    }
}

fn pairs(ports: &BTreeMap<String, Buffer>) -> Vec<(&str, &Buffer)> {
    ports.iter().map(|(n, b)| (n.as_str(), b)).collect()
}

/// Position of the largest element, the first of equals.
pub fn argmax(row: &[f32]) -> usize {
    row.iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, &x)| {
            if x > best.1 { (i, x) } else { best }
        })
        .0
}
