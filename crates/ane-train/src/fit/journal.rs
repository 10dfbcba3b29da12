//! What a run writes on its way for those who watch it: metrics, losses of single steps, what epochs took, and all of it
//! once more for TensorBoard.

use super::{EpochMetrics, clock::Timing};
use crate::{
    checkpoint::CheckpointError,
    run_dir::{Row, RunDir},
    tensorboard::{self, EventFile},
    trainer::StepOutcome,
};
use serde::Serialize;
use std::io;

/// About how many steps of a run are noted.
const NOTED_STEPS: u64 = 1000;

/// The files of a run that grow with it.
pub(super) struct Journal {
    run: RunDir,
    /// Steps from one that is noted to the next.
    every: u64,
    /// The step before the first that is written.
    after: u64,
    /// Made when there is something to write.
    events: Option<EventFile>,
}

/// A line of `steps.jsonl`.
#[derive(Serialize)]
struct NotedStep {
    /// Steps taken so far.
    step: u64,
    /// Epoch, from 1.
    epoch: u64,
    /// Mean loss of the step's examples; none where it was not finite.
    loss: f32,
    lr: f64,
    loss_scale: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_norm: Option<f64>,
    skipped: bool,
}

impl Journal {
    /// For a run of `total` steps that goes on after the step `after`.
    pub(super) fn new(run: RunDir, after: u64, total: u64) -> Self {
        Self {
            run,
            every: total.div_ceil(NOTED_STEPS).max(1),
            after,
            events: None,
        }
    }

    /// Notes a step, if it is one of those that are.
    pub(super) fn step(
        &mut self,
        epoch: u64,
        step: u64,
        outcome: &StepOutcome,
    ) -> Result<(), CheckpointError> {
        if !step.is_multiple_of(self.every) {
            return Ok(());
        }
        self.run.append_step(&NotedStep {
            step,
            epoch,
            loss: outcome.loss,
            lr: outcome.lr,
            loss_scale: outcome.loss_scale,
            grad_norm: outcome.grad_norm,
            skipped: outcome.overflow,
        })?;
        let loss = Some(f64::from(outcome.loss)).filter(|x| x.is_finite());
        let values = [("step/loss", loss), ("step/grad_norm", outcome.grad_norm)];
        let values = values.into_iter().filter_map(|(tag, x)| Some((tag, x?)));
        self.events(|events| events.scalars(step, values))
    }

    /// Notes an epoch and what it took.
    pub(super) fn epoch(
        &mut self,
        metrics: &EpochMetrics,
        timing: &Timing,
    ) -> Result<(), CheckpointError> {
        // Made before the line is written, so that it is not among those that are told of again.
        self.events(|_| Ok(()))?;
        // Who sees the metrics of an epoch finds its timing.
        self.run.append_timing(timing)?;
        self.run.append_metrics(metrics)?;
        let text = serde_json::to_string(metrics).unwrap_or_default();
        self.events(|events| {
            if let Some(row) = Row::parse(&text) {
                tell(events, &row)?;
            }
            events.scalars(metrics.step, timing.scalars())
        })
    }

    /// Steps after `step` are taken again: what was noted of them is forgotten.
    pub(super) fn go_back(&mut self, step: u64) -> Result<(), CheckpointError> {
        self.run.truncate_steps(step)?;
        match &self.events {
            Some(_) => self.events(|events| events.begin_session(step + 1)),
            None => Ok(()),
        }
    }

    /// Writes events; where the directory has none yet, those of earlier epochs come first.
    fn events(
        &mut self,
        write: impl FnOnce(&mut EventFile) -> io::Result<()>,
    ) -> Result<(), CheckpointError> {
        let directory = self.run.tensorboard();
        let failed = |source| CheckpointError::Io {
            action: "write an event file in",
            path: directory.clone(),
            source,
        };
        if self.events.is_none() {
            let is_first = !tensorboard::has_events(&directory);
            let mut events = EventFile::create(&directory, self.after + 1).map_err(failed)?;
            let earlier = match is_first {
                true => self.run.read_metrics()?,
                false => Vec::new(),
            };
            for row in &earlier {
                tell(&mut events, row).map_err(failed)?;
            }
            self.events = Some(events);
        }
        match &mut self.events {
            Some(events) => write(events).map_err(failed),
            None => Ok(()),
        }
    }
}

/// Writes a line of metrics: `train_loss` is `train/loss` there.
fn tell(events: &mut EventFile, row: &Row) -> io::Result<()> {
    let Some(step) = row.step() else {
        return Ok(());
    };
    let values: Vec<(String, f64)> = row
        .numbers()
        .filter(|(name, _)| *name != "step")
        .map(|(name, x)| (tag(name), x))
        .collect();
    events.scalars(step, values.iter().map(|(tag, x)| (tag.as_str(), *x)))
}

fn tag(name: &str) -> String {
    for part in ["train", "validation"] {
        let rest = name.strip_prefix(part).and_then(|r| r.strip_prefix('_'));
        if let Some(metric) = rest {
            return format!("{part}/{metric}");
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn metrics_are_grouped_by_the_examples_that_they_are_of() {
        assert_eq!(tag("train_loss"), "train/loss");
        assert_eq!(
            tag("validation_binary_accuracy"),
            "validation/binary_accuracy"
        );
        assert_eq!(tag("loss_scale"), "loss_scale");
    }
}
