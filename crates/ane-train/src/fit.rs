//! The loop: epochs, validation, metrics, checkpoints, stopping in good order, and going on after faults.

use crate::{
    checkpoint::{Checkpoint, CheckpointError, EpochSums, Record, write_weights},
    data::{Batch, Collator, Dataset, Loader, Sampler},
    machine::Machine,
    recovery::{Faults, Recovery},
    run_dir::RunDir,
    trainer::{State, StepOutcome, Trainer, TrainerError, unsound},
};
use serde::Serialize;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What the loop reports while it runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A step was taken.
    Step {
        /// Epoch, from 0.
        epoch: u64,
        /// Batch within it, from 0.
        batch: usize,
        /// What came of it.
        outcome: StepOutcome,
        /// Examples of the batch.
        examples: usize,
    },
    /// An epoch ended.
    Epoch(EpochMetrics),
    /// The device failed and was started again; steps after this one are repeated.
    Fault {
        /// The step of the snapshot from which the run goes on.
        step: u64,
        /// What happened.
        message: String,
    },
}

/// Metrics of an epoch; one line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochMetrics {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps taken so far.
    pub step: u64,
    /// Mean training loss over the examples of steps whose loss was finite; none when no step's was.
    pub train_loss: Option<f64>,
    /// Share of training examples answered correctly while training.
    pub train_accuracy: f64,
    /// Mean validation loss.
    pub validation_loss: Option<f64>,
    /// Validation accuracy.
    pub validation_accuracy: Option<f64>,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Loss scale after the last step.
    pub loss_scale: f32,
    /// Steps skipped so far.
    pub skipped: u64,
    /// Training examples per second of this epoch; not part of the file, which repeats bit for bit.
    #[serde(skip)]
    pub images_per_second: f64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; the checkpoint says where.
    Interrupted,
}

/// The loop failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The trainer or its device failed.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A checkpoint or a metrics file could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loader's thread could not be started.
    #[error("cannot start the loader's thread")]
    Loader(#[source] std::io::Error),
    /// The device failed again and again.
    #[error("gave up at step {step}; `{}` holds the run up to step {saved}", checkpoint.display())]
    GaveUp {
        /// The step that could not be passed.
        step: u64,
        /// Step of the last good checkpoint.
        saved: u64,
        /// The checkpoint.
        checkpoint: PathBuf,
        /// How often the device failed, and with what.
        source: Box<TrainerError>,
    },
    /// Gradients overflow at every loss scale.
    #[error(
        "training diverged at step {step}: the loss is {loss}, and gradients overflow even at loss scale 1"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f32,
    },
    /// The loss stays infinite or no number, though the gradients are accepted.
    #[error(
        "training diverged at step {step}: the loss is {loss}, and was not finite in {steps} accepted steps in a row"
    )]
    LossNotFinite {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f32,
        /// How many steps.
        steps: u32,
    },
    /// The state can be trained no further, and replaces no checkpoint.
    #[error(
        "training diverged at step {step}: `{tensor}` holds numbers that are not finite or that fp16 cannot hold"
    )]
    Ruined {
        /// The step.
        step: u64,
        /// The first tensor of the state.
        tensor: String,
    },
    /// The state gives no finite loss, and replaces no checkpoint.
    #[error("training diverged at step {step}: the loss of what it has learned is {loss}")]
    Worthless {
        /// The step.
        step: u64,
        /// The loss, of the validation examples or of a batch.
        loss: f64,
    },
    /// The loader's thread ended before its batches did: our bug.
    #[error("the loader stopped after {batches} of {expected} batches")]
    LoaderStopped {
        /// Batches it delivered.
        batches: usize,
        /// Batches there are.
        expected: usize,
    },
}

/// What the loop works on.
#[derive(Debug)]
pub struct Fit {
    /// The model in training.
    pub trainer: Trainer,
    /// Training examples.
    pub data: Arc<Dataset>,
    /// Their order.
    pub sampler: Sampler,
    /// Validation examples of the same data set; empty to train on everything and keep only `last`.
    pub validation: Vec<u32>,
    /// Epochs of the run.
    pub epochs: u64,
    /// Where checkpoints and metrics go.
    pub run: RunDir,
    /// The resolved configuration, stored in checkpoints.
    pub config: serde_json::Value,
    /// What computes it, stored in checkpoints.
    pub machine: Machine,
    /// The next batch: epoch and number.
    pub position: (u64, usize),
    /// Sums of the epoch so far.
    pub sums: EpochSums,
    /// Best validation accuracy so far, and its epoch.
    pub best: Option<(f64, u64)>,
    /// Steps between checkpoints within an epoch, if wanted.
    pub checkpoint_every: Option<u64>,
    /// How faults of the device are survived; `None` where it cannot start again.
    pub recovery: Option<Recovery>,
}

/// Accepted steps in a row with a loss that is not finite, after which training has diverged.
const PATIENCE: u32 = 50;

/// Counts accepted steps in a row whose loss is not finite. Counted anew after a resume or a fault, which only makes it
/// more patient.
#[derive(Debug, Default)]
struct WithoutLoss(u32);

impl WithoutLoss {
    /// Whether, with this step, there were too many.
    fn is_too_long(&mut self, outcome: &StepOutcome) -> bool {
        if outcome.loss.is_finite() {
            self.0 = 0;
        } else if !outcome.overflow {
            self.0 += 1;
        }
        self.0 >= PATIENCE
    }
}

/// What a run goes back to after a fault, and how many there were.
struct Safety {
    faults: Faults,
    snapshot: Option<Checkpoint>,
}

impl Fit {
    /// Trains to the end, or until `stop` is set, which is looked at between steps.
    ///
    /// Where the device can start again, a fault leads back to the last snapshot in memory; the repeated steps have the
    /// same bits, and their events come again.
    ///
    /// # Errors
    /// When the device, a file or the optimisation itself fails; the last checkpoint is a good one.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        report: &mut dyn FnMut(&Event),
    ) -> Result<Ending, FitError> {
        let mut safety = Safety {
            faults: Faults::new(self.recovery),
            snapshot: None,
        };
        if self.recovery.is_some() {
            safety.snapshot = Some(self.snapshot()?);
        }
        loop {
            let error = match self.steps(stop, &mut safety, report) {
                Err(FitError::Trainer(e)) => e,
                other => return other,
            };
            let Some(good) = &safety.snapshot else {
                return Err(error.into());
            };
            let failed_at = self.trainer.progress().step;
            let survived = safety.faults.survive(error, &mut self.trainer);
            if let Err(e) = survived.and_then(|()| self.go_back(good, &mut safety.faults)) {
                return Err(self.give_up(e, good, failed_at));
            }
            for message in safety.faults.take_messages() {
                let step = good.record.progress.step;
                report(&Event::Fault { step, message });
            }
        }
    }

    /// Takes steps until the end, a stop or an error.
    fn steps(
        &mut self,
        stop: &AtomicBool,
        safety: &mut Safety,
        report: &mut dyn FnMut(&Event),
    ) -> Result<Ending, FitError> {
        if self.position.0 >= self.epochs {
            // A run that had ended; what stands beside its checkpoint may be missing or older.
            let snapshot = self.snapshot()?;
            self.write("last", &snapshot)?;
            return Ok(Ending::Finished);
        }
        let loss = self.trainer.config().loss;
        let batch_size = self.trainer.config().batch;
        let loader = Loader::start(
            Collator::new(self.data.clone(), batch_size, loss),
            self.sampler.clone(),
            self.position,
            self.epochs,
        )
        .map_err(FitError::Loader)?;
        let batches = self.sampler.batches();
        let mut clock = Clock::start(self.sums.examples);
        let mut without_loss = WithoutLoss::default();
        while self.position.0 < self.epochs {
            let stops = stop.load(Ordering::Relaxed);
            let Some(batch) = loader.next_batch() else {
                return Err(FitError::LoaderStopped {
                    batches: self.position.1,
                    expected: batches,
                });
            };
            if stops {
                let loss = self.loss_of(&batch)?;
                self.must_be_worth_keeping(loss)?;
                let snapshot = self.snapshot()?;
                self.write("last", &snapshot)?;
                return Ok(Ending::Interrupted);
            }
            let (epoch, number) = batch.position;
            let due = |every: Option<u64>| {
                every.is_some_and(|n| (self.trainer.progress().step + 1).is_multiple_of(n))
            };
            let ends_epoch = number + 1 == batches;
            let writes = due(self.checkpoint_every);
            let snaps = due(self.recovery.map(|r| r.snapshot_every));
            if ends_epoch || writes || snaps {
                self.trainer.device().verify_next();
            }
            let outcome = self.trainer.train_step(&batch)?;
            let examples = batch.labels.len();
            if self.trainer.progress().loss_scale.has_diverged() {
                return Err(FitError::Diverged {
                    step: self.trainer.progress().step,
                    loss: outcome.loss,
                });
            }
            safety.faults.took_step(self.trainer.progress().step);
            self.sums.add(&outcome, examples as u64);
            if without_loss.is_too_long(&outcome) {
                return Err(FitError::LossNotFinite {
                    step: self.trainer.progress().step,
                    loss: outcome.loss,
                    steps: PATIENCE,
                });
            }
            report(&Event::Step {
                epoch,
                batch: number,
                outcome,
                examples,
            });
            if ends_epoch {
                self.position = (epoch + 1, 0);
                if self.validation.is_empty() {
                    let loss = self.loss_of(&batch)?;
                    self.must_be_worth_keeping(loss)?;
                }
                loader.recycle(batch);
                let speed = clock.speed(self.sums.examples);
                self.end_epoch(outcome, speed, safety, report)?;
                clock = Clock::start(0);
                continue;
            }
            self.position = (epoch, number + 1);
            if writes || snaps {
                let snapshot = self.snapshot()?;
                // What only infinite numbers come of may still pass, but replaces no checkpoint.
                if writes && self.loss_of(&batch)?.is_finite() {
                    self.write("last", &snapshot)?;
                }
                safety.keep(snapshot);
            }
            loader.recycle(batch);
        }
        Ok(Ending::Finished)
    }

    fn end_epoch(
        &mut self,
        outcome: StepOutcome,
        images_per_second: f64,
        safety: &mut Safety,
        report: &mut dyn FnMut(&Event),
    ) -> Result<(), FitError> {
        let n = self.sums.examples.max(1) as f64;
        // All that is needed of the device comes before the first file is written, so that no line is written twice.
        let mut snapshot = self.snapshot()?;
        let validation = if self.validation.is_empty() {
            None
        } else {
            let faults = &mut safety.faults;
            let result = evaluate(&mut self.trainer, &self.data, &self.validation, faults)?;
            for message in faults.take_messages() {
                let step = self.trainer.progress().step;
                report(&Event::Fault { step, message });
            }
            Some(result)
        };
        if let Some(v) = validation {
            self.must_be_worth_keeping(v.loss)?;
        }
        let progress = *self.trainer.progress();
        let metrics = EpochMetrics {
            epoch: self.position.0,
            step: progress.step,
            train_loss: self.sums.mean_loss(),
            train_accuracy: self.sums.correct as f64 / n,
            validation_loss: validation.map(|v| v.loss),
            validation_accuracy: validation.map(|v| v.accuracy),
            lr: outcome.lr,
            loss_scale: progress.loss_scale.get(),
            skipped: progress.skipped,
            images_per_second,
        };
        self.sums = EpochSums::default();
        self.run.append_metrics(&metrics)?;
        let better =
            validation.is_some_and(|v| self.best.is_none_or(|(best, _)| v.accuracy > best));
        if let (true, Some(v)) = (better, validation) {
            self.best = Some((v.accuracy, metrics.epoch));
        }
        snapshot.record = self.record();
        if better {
            self.write("best", &snapshot)?;
        }
        self.write("last", &snapshot)?;
        safety.keep(snapshot);
        report(&Event::Epoch(metrics));
        Ok(())
    }

    /// The loss of a batch with what has been learned.
    fn loss_of(&mut self, batch: &Batch) -> Result<f64, TrainerError> {
        Ok(self.trainer.evaluate(batch)?.0.into())
    }

    /// A checkpoint is not replaced by one that leads nowhere.
    fn must_be_worth_keeping(&self, loss: f64) -> Result<(), FitError> {
        if loss.is_finite() {
            return Ok(());
        }
        let step = self.trainer.progress().step;
        Err(FitError::Worthless { step, loss })
    }

    fn record(&self) -> Record {
        Record {
            config: self.config.clone(),
            progress: *self.trainer.progress(),
            position: self.position,
            epoch_sums: self.sums,
            best: self.best,
            machine: Some(self.machine.clone()),
        }
    }

    /// The run as it stands, if it can be trained further.
    fn snapshot(&self) -> Result<Checkpoint, FitError> {
        let state = self.trainer.state()?;
        if let Some(tensor) = unsound(&state) {
            return Err(FitError::Ruined {
                step: self.trainer.progress().step,
                tensor: tensor.to_owned(),
            });
        }
        Ok(Checkpoint {
            record: self.record(),
            state,
        })
    }

    /// Puts everything back to a snapshot.
    fn go_back(&mut self, to: &Checkpoint, faults: &mut Faults) -> Result<(), TrainerError> {
        faults.restore(&mut self.trainer, to.record.progress, &to.state)?;
        self.position = to.record.position;
        self.sums = to.record.epoch_sums;
        self.best = to.record.best;
        Ok(())
    }

    /// The end of a run whose device does not come back: what is in memory is saved.
    fn give_up(&self, error: TrainerError, good: &Checkpoint, step: u64) -> FitError {
        if let Err(e) = self.write("last", good) {
            return e.into();
        }
        match error {
            TrainerError::Device(_) | TrainerError::GaveUp { .. } => FitError::GaveUp {
                step,
                saved: good.record.progress.step,
                checkpoint: self.run.checkpoint("last"),
                source: Box::new(error),
            },
            other => other.into(),
        }
    }

    /// Writes the checkpoint `name`, and before it the weights derived from it: a run that is killed between the two is
    /// resumed from the older checkpoint and writes both again.
    fn write(&self, name: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let weights = self.trainer.weights_of(&checkpoint.state);
        write_weights(&self.run.weights(name), &weights)?;
        checkpoint.write(&self.run.checkpoint(name))
    }
}

impl Safety {
    /// Goes back to `snapshot` from now on.
    fn keep(&mut self, snapshot: Checkpoint) {
        if self.snapshot.is_some() {
            self.snapshot = Some(snapshot);
        }
    }
}

/// Speed of the examples since a moment.
struct Clock {
    since: Instant,
    examples: u64,
}

impl Clock {
    fn start(examples: u64) -> Self {
        Self {
            since: Instant::now(),
            examples,
        }
    }

    fn speed(&self, examples: u64) -> f64 {
        let seconds = self
            .since
            .elapsed()
            .max(Duration::from_micros(1))
            .as_secs_f64();
        examples.saturating_sub(self.examples) as f64 / seconds
    }
}

/// Loss and accuracy over examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f64,
    /// Share of correct answers.
    pub accuracy: f64,
    /// Number of examples.
    pub examples: usize,
}

/// Evaluates `examples` of `data`, changing nothing; after a fault that is survived it goes on with the same batch.
///
/// # Errors
/// When the device fails for good.
pub fn evaluate(
    trainer: &mut Trainer,
    data: &Arc<Dataset>,
    examples: &[u32],
    faults: &mut Faults,
) -> Result<Evaluation, TrainerError> {
    let (loss_kind, size) = (trainer.config().loss, trainer.config().batch);
    let collator = Collator::new(data.clone(), size, loss_kind);
    let progress = *trainer.progress();
    let state = match faults.recovery() {
        Some(_) => trainer.state()?,
        None => State::new(),
    };
    let mut batch = Batch::default();
    let (mut loss, mut correct) = (0.0, 0);
    for chunk in examples.chunks(size) {
        collator.fill(chunk, &mut batch);
        let (l, c) = loop {
            match trainer.evaluate(&batch) {
                Ok(result) => break result,
                Err(e) => {
                    faults.survive(e, trainer)?;
                    faults.restore(trainer, progress, &state)?;
                }
            }
        };
        faults.got_further();
        loss += f64::from(l) * chunk.len() as f64;
        correct += c;
    }
    let n = examples.len().max(1) as f64;
    Ok(Evaluation {
        loss: loss / n,
        accuracy: correct as f64 / n,
        examples: examples.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_never_finite_is_divergence_and_a_skipped_step_no_evidence() {
        let step = |loss: f32, overflow| StepOutcome {
            loss,
            correct: 0,
            overflow,
            lr: 0.1,
            loss_scale: 1.0,
            grad_norm: None,
        };
        let mut without_loss = WithoutLoss::default();
        for _ in 1..PATIENCE {
            assert!(!without_loss.is_too_long(&step(f32::INFINITY, false)));
            assert!(!without_loss.is_too_long(&step(f32::NAN, true)));
        }
        assert!(!without_loss.is_too_long(&step(0.5, false)));
        for _ in 1..PATIENCE {
            assert!(!without_loss.is_too_long(&step(f32::NAN, false)));
        }
        assert!(without_loss.is_too_long(&step(f32::NAN, false)));
    }
}
