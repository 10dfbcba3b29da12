//! The loop: epochs, validation, checkpoints, stopping in good order, and going on after faults.

mod batches;
mod beginning;
mod clock;
mod control;
mod divergence;
mod error;
mod evaluation;
mod event;
mod findings;
mod journal;
mod patience;
mod prediction;

pub use beginning::{Beginning, describe};
pub use clock::{Phases, Timing};
pub use control::Control;
pub use error::FitError;
pub use evaluation::{Evaluation, Examples, evaluate, evaluate_each};
pub use event::{EpochMetrics, Event, Values, show};
pub use patience::Patience;
pub use prediction::predict;

use crate::{
    checkpoint::{Best, Checkpoint, CheckpointError, EpochSums, Record, write_weights},
    data::{Batch, Dataset, Description, Loader, Sampler},
    error::TrainerError,
    machine::Machine,
    metric::Better,
    recovery::{Faults, Recovery},
    run_dir::RunDir,
    store::first_not_finite,
    trainer::{StepOutcome, Trainer},
};
use clock::Clock;
use divergence::{PATIENCE, WithoutLoss};
use journal::Journal;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// Validation has not become better for as long as the run was to wait.
    NoBetter,
    /// Its time is over; the checkpoint says where.
    OutOfTime,
    /// It was asked to stop; the checkpoint says where.
    Interrupted,
}

/// What the loop works on.
#[derive(Debug)]
pub struct Fit {
    /// The model in training.
    pub trainer: Trainer,
    /// Training examples.
    pub data: Arc<dyn Dataset>,
    /// Their order.
    pub sampler: Sampler,
    /// Validation examples; none to keep only `last`.
    pub validation: Option<Examples>,
    /// Epochs of the run.
    pub epochs: u64,
    /// Steps after which the run ends, wherever it is in an epoch.
    pub max_steps: Option<u64>,
    /// How long it waits for a better validation result.
    pub patience: Option<Patience>,
    /// When the run ends, wherever it is then.
    pub deadline: Option<Instant>,
    /// Where checkpoints and metrics go.
    pub run: RunDir,
    /// The resolved configuration, stored in checkpoints.
    pub config: serde_json::Value,
    /// What the examples are, stored in checkpoints.
    pub description: Option<Description>,
    /// What the files of weights say besides them.
    pub weights_metadata: BTreeMap<String, String>,
    /// What computes it, stored in checkpoints.
    pub machine: Machine,
    /// The next batch: epoch and number.
    pub position: (u64, usize),
    /// Sums of the epoch so far.
    pub sums: EpochSums,
    /// Best validation result so far.
    pub best: Option<Best>,
    /// Steps between checkpoints within an epoch, if wanted.
    pub checkpoint_every: Option<u64>,
    /// Epochs, the last ones, whose checkpoints are kept besides `last` and `best`.
    pub keep: u64,
    /// How faults of the device are survived; `None` where it cannot start again.
    pub recovery: Option<Recovery>,
}

/// What a run goes back to after a fault, and how many there were.
struct Safety {
    faults: Faults,
    snapshot: Option<Checkpoint>,
}

impl Fit {
    /// Trains to the end, or until `control` asks it to stop, which is looked at between steps.
    ///
    /// Where the device can start again, a fault leads back to the last snapshot in memory; the repeated steps have the
    /// same bits, and their events come again.
    ///
    /// # Errors
    /// When the device, a file or the optimisation itself fails; the last checkpoint is a good one.
    pub fn run(
        &mut self,
        control: &Control,
        report: &mut dyn FnMut(&Event),
    ) -> Result<Ending, FitError> {
        let mut safety = Safety {
            faults: Faults::new(self.recovery),
            snapshot: None,
        };
        if self.recovery.is_some() {
            safety.snapshot = Some(self.snapshot()?);
        }
        let (step, total) = (
            self.trainer.progress().step,
            self.trainer.config().total_steps,
        );
        let mut journal = Journal::new(self.run.clone(), step, total);
        loop {
            let error = match self.steps(control, &mut safety, &mut journal, report) {
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
            journal.go_back(good.record.progress.step)?;
            for message in safety.faults.take_messages() {
                let step = good.record.progress.step;
                report(&Event::Fault { step, message });
            }
        }
    }

    /// Whether there is no step left to take.
    fn is_over(&self) -> bool {
        let step = self.trainer.progress().step;
        self.position.0 >= self.epochs || self.max_steps.is_some_and(|most| step >= most)
    }

    /// Whether it has waited long enough for a better result, where it stands between two epochs.
    fn has_waited(&self) -> bool {
        let (epochs, batch) = self.position;
        let waits = self.patience.filter(|_| batch == 0);
        waits.is_some_and(|p| p.is_over(self.best.as_ref(), epochs))
    }

    /// Takes steps until the end, a stop or an error.
    fn steps(
        &mut self,
        control: &Control,
        safety: &mut Safety,
        journal: &mut Journal,
        report: &mut dyn FnMut(&Event),
    ) -> Result<Ending, FitError> {
        if self.is_over() {
            // A run that had ended; what stands beside its checkpoint may be missing or older.
            let snapshot = self.snapshot()?;
            self.save("last", &snapshot, report)?;
            return Ok(Ending::Finished);
        }
        if self.has_waited() {
            return Ok(Ending::NoBetter);
        }
        let loader = Loader::start(
            self.data.clone(),
            self.sampler.clone(),
            self.trainer.config().accumulate,
            self.position,
            self.epochs,
        )
        .map_err(FitError::Loader)?;
        let mut clock = Clock::start(self.sums.examples);
        let mut without_loss = WithoutLoss::default();
        while !self.is_over() {
            let since = Instant::now();
            let Some(update) = loader.next_update() else {
                return Err(FitError::LoaderStopped {
                    batches: self.position.1,
                    expected: self.sampler.batches(),
                });
            };
            clock.waited(since.elapsed());
            let batches = update.map_err(TrainerError::from)?;
            if control.pauses() {
                clock.paused(self.pause(control, &batches, report)?);
            }
            let is_late = self.is_late();
            if is_late || control.stops() {
                self.must_have_finite_loss(&batches)?;
                let snapshot = self.snapshot()?;
                self.save("last", &snapshot, report)?;
                return Ok(match is_late {
                    true => Ending::OutOfTime,
                    false => Ending::Interrupted,
                });
            }
            let next = self.trainer.progress().step + 1;
            let due = |every: Option<u64>| every.is_some_and(|n| next.is_multiple_of(n));
            let position = self.position_after(&batches);
            let ends_epoch = position.1 == 0 || self.max_steps == Some(next);
            let writes = due(self.checkpoint_every) || control.takes_checkpoint();
            let snaps = due(self.recovery.map(|r| r.snapshot_every));
            if ends_epoch || writes || snaps {
                self.trainer.device().verify_next();
            }
            let (since, engine) = (Instant::now(), self.trainer.engine_time());
            let before = *self.trainer.progress();
            let outcome = self.trainer.train_step(&batches)?;
            clock.stepped(since.elapsed(), self.trainer.engine_time() - engine);
            self.note_findings(&before, &batches, &outcome, report)?;
            safety.faults.took_step(self.trainer.progress().step);
            self.sums.add(&outcome, &self.trainer.config().metrics);
            self.must_not_diverge(&outcome, &mut without_loss)?;
            let (epoch, batch) = self.position;
            self.position = position;
            journal.step(epoch + 1, next, &outcome)?;
            report(&Event::Step {
                epoch,
                batch,
                outcome: outcome.clone(),
                phases: clock.phases(),
            });
            if ends_epoch {
                if self.validation.is_none() {
                    self.must_have_finite_loss(&batches)?;
                }
                loader.recycle(batches);
                let timing = clock.timing(epoch + 1, next, self.sums.examples);
                self.end_epoch(&outcome, timing, safety, journal, report)?;
                if !self.is_over() && self.has_waited() {
                    return Ok(Ending::NoBetter);
                }
                clock = Clock::start(0);
                continue;
            }
            if writes || snaps {
                let snapshot = self.snapshot()?;
                // What only infinite numbers come of may still pass, but replaces no checkpoint.
                if writes && self.loss_of(&batches)?.is_finite() {
                    self.save("last", &snapshot, report)?;
                }
                safety.keep(snapshot);
            }
            loader.recycle(batches);
        }
        Ok(Ending::Finished)
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|end| Instant::now() >= end)
    }

    /// Waits as long as it is asked to, and says for how long. Checkpoints that are asked for meanwhile are written.
    fn pause(
        &mut self,
        control: &Control,
        batches: &[Batch],
        report: &mut dyn FnMut(&Event),
    ) -> Result<Duration, FitError> {
        let since = Instant::now();
        report(&Event::Paused);
        while control.pauses() && !self.is_late() {
            if control.takes_checkpoint() && self.loss_of(batches)?.is_finite() {
                let snapshot = self.snapshot()?;
                self.save("last", &snapshot, report)?;
            }
            control.wait(self.deadline);
        }
        report(&Event::Resumed);
        Ok(since.elapsed())
    }

    /// Where the run stands after these batches.
    fn position_after(&self, batches: &[Batch]) -> (u64, usize) {
        let (epoch, number) = batches.last().map_or(self.position, |b| b.position);
        if number + 1 == self.sampler.batches() {
            (epoch + 1, 0)
        } else {
            (epoch, number + 1)
        }
    }

    fn must_not_diverge(
        &self,
        outcome: &StepOutcome,
        without_loss: &mut WithoutLoss,
    ) -> Result<(), FitError> {
        let progress = self.trainer.progress();
        let (step, loss) = (progress.step, outcome.loss);
        if progress.loss_scale.has_diverged() {
            return Err(FitError::Diverged { step, loss });
        }
        if without_loss.is_too_long(outcome) {
            return Err(FitError::LossNotFinite {
                step,
                loss,
                steps: PATIENCE,
            });
        }
        Ok(())
    }

    fn end_epoch(
        &mut self,
        outcome: &StepOutcome,
        mut timing: Timing,
        safety: &mut Safety,
        journal: &mut Journal,
        report: &mut dyn FnMut(&Event),
    ) -> Result<(), FitError> {
        // All that is needed of the device comes before the first file is written, so that no line is written twice.
        let mut snapshot = self.snapshot()?;
        let validation = match &self.validation {
            None => None,
            Some(examples) => {
                let since = Instant::now();
                let faults = &mut safety.faults;
                let result = self
                    .trainer
                    .with_average(|t| evaluate(t, examples, faults))?;
                timing.validation_seconds = Some(since.elapsed().as_secs_f64());
                for message in safety.faults.take_messages() {
                    let step = self.trainer.progress().step;
                    report(&Event::Fault { step, message });
                }
                Some(result)
            }
        };
        if let Some(v) = &validation {
            self.must_be_finite(v.loss)?;
        }
        let progress = *self.trainer.progress();
        let kinds = &self.trainer.config().metrics;
        let epoch = timing.epoch;
        let score = validation.as_ref().map(|v| {
            let (value, better) = v.score(kinds);
            let loss = v.loss;
            (Best { value, loss, epoch }, better)
        });
        let metrics = EpochMetrics {
            epoch,
            step: progress.step,
            train_loss: self.sums.mean_loss(),
            train: self.sums.values(kinds),
            validation_loss: validation.as_ref().map(|v| v.loss),
            validation: validation.map_or_else(Values::new, |v| v.metrics),
            lr: outcome.lr,
            loss_scale: progress.loss_scale.get(),
            skipped: progress.skipped,
            examples_per_second: timing.examples_per_second,
        };
        // A run that its last step ends within an epoch may be given more of them: these then go on with the epoch's sums.
        if self.position.1 == 0 {
            self.sums = EpochSums::default();
        }
        journal.epoch(&metrics, &timing)?;
        let beaten = |(later, better): &(Best, Better)| {
            self.best
                .is_none_or(|best| best.is_beaten_by(later, *better))
        };
        let new_best = score.filter(beaten).map(|(later, _)| later);
        self.best = new_best.or(self.best);
        snapshot.record = self.record();
        if new_best.is_some() {
            self.save("best", &snapshot, report)?;
        }
        if self.keep > 0 {
            // Before `last`: a run that is killed in between comes here again.
            self.save(&RunDir::epoch_name(epoch), &snapshot, report)?;
            self.run.prune_epochs(self.keep)?;
        }
        self.save("last", &snapshot, report)?;
        safety.keep(snapshot);
        report(&Event::Epoch(metrics));
        report(&Event::Timing(timing));
        Ok(())
    }

    /// The loss of a batch with what has been learned.
    fn loss_of(&mut self, batches: &[Batch]) -> Result<f64, TrainerError> {
        match batches.last() {
            Some(batch) => Ok(self.trainer.evaluate(batch)?.loss.into()),
            None => Ok(0.0),
        }
    }

    /// A checkpoint is not replaced by one that leads nowhere.
    fn must_have_finite_loss(&mut self, batches: &[Batch]) -> Result<(), FitError> {
        let loss = self.loss_of(batches)?;
        if !loss.is_finite() {
            self.look_into(batches)?;
        }
        self.must_be_finite(loss)
    }

    fn must_be_finite(&self, loss: f64) -> Result<(), FitError> {
        if loss.is_finite() {
            return Ok(());
        }
        let step = self.trainer.progress().step;
        Err(FitError::NoFiniteLoss { step, loss })
    }

    fn record(&self) -> Record {
        Record {
            config: self.config.clone(),
            progress: *self.trainer.progress(),
            position: self.position,
            epoch_sums: self.sums.clone(),
            best: self.best,
            machine: Some(self.machine.clone()),
            data: self.description.clone(),
        }
    }

    /// The run as it stands, if it can be trained further.
    fn snapshot(&self) -> Result<Checkpoint, FitError> {
        let state = self.trainer.state()?;
        if let Some(tensor) = first_not_finite(&state) {
            return Err(FitError::NonFiniteState {
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
        self.sums = to.record.epoch_sums.clone();
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

    /// Writes the checkpoint `name`, and says so.
    fn save(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        report: &mut dyn FnMut(&Event),
    ) -> Result<(), CheckpointError> {
        self.write(name, checkpoint)?;
        report(&Event::Checkpoint {
            name: name.to_owned(),
            step: checkpoint.record.progress.step,
            path: self.run.checkpoint(name),
        });
        Ok(())
    }

    /// Writes the checkpoint `name`, and before it the weights derived from it: a run that is killed between the two is
    /// resumed from the older checkpoint and writes both again.
    fn write(&self, name: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let weights = self.trainer.weights_of(&checkpoint.state);
        write_weights(
            &self.run.weights(name),
            &weights,
            &self.trainer.config().model.kept,
            &self.weights_metadata,
        )?;
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
