//! What the loop reports: steps, epochs, checkpoints, faults.

use super::{Phases, Timing};
use crate::{
    forensics::Finding,
    metric::{self, Metric},
    run_dir::Row,
    trainer::StepOutcome,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::path::PathBuf;

/// What the loop reports while it runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A step was taken.
    Step {
        /// Epoch, from 0.
        epoch: u64,
        /// Its first batch within the epoch, from 0.
        batch: usize,
        /// What came of it.
        outcome: StepOutcome,
        /// What the steps of the epoch have taken so far.
        phases: Phases,
    },
    /// An epoch ended.
    Epoch(EpochMetrics),
    /// A step went wrong, and this is where.
    Findings(Vec<Finding>),
    /// A step was recorded, to be replayed.
    Recorded {
        /// The step, from 1.
        step: u64,
        /// The bundle.
        bundle: PathBuf,
    },
    /// What that epoch took.
    Timing(Timing),
    /// A checkpoint was written.
    Checkpoint {
        /// `best`, `last`, or the name of an epoch's own.
        name: String,
        /// Steps taken up to it.
        step: u64,
        /// Its file.
        path: PathBuf,
    },
    /// The run waits, as it was asked to.
    Paused,
    /// It waits no longer.
    Resumed,
    /// The device failed and was started again; steps after this one are repeated.
    Fault {
        /// The step of the snapshot from which the run goes on.
        step: u64,
        /// What happened.
        message: String,
    },
}

/// Values of metrics, by name, in the trainer's order.
pub type Values = Vec<(&'static str, f64)>;

/// Metrics of an epoch; one line of `metrics.jsonl`, where the names of metrics have `train_` or `validation_` before
/// them.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochMetrics {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps taken so far.
    pub step: u64,
    /// Mean training loss over the examples of steps whose loss was finite; none when no step's was.
    pub train_loss: Option<f64>,
    /// Over the training examples, each as it was answered while training.
    pub train: Values,
    /// Mean validation loss.
    pub validation_loss: Option<f64>,
    /// Over the validation examples; empty without any.
    pub validation: Values,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Loss scale after the last step.
    pub loss_scale: f32,
    /// Steps skipped so far.
    pub skipped: u64,
    /// Training examples per second of this epoch; not part of the file, which repeats bit for bit.
    pub examples_per_second: f64,
}

impl EpochMetrics {
    /// What a line of `metrics.jsonl` says, of an epoch of so many examples per second; none of another line. Metrics that
    /// this program does not know are left out.
    pub fn of(row: &Row, examples_per_second: f64) -> Option<Self> {
        let whole = |name| row.number(name).map(|x| x as u64);
        let values = |prefix: &str| -> Values {
            let of_prefix = |(name, x): (&str, f64)| {
                let known = metric::named(name.strip_prefix(prefix)?).ok()?;
                Some((known.name(), x))
            };
            row.numbers().filter_map(of_prefix).collect()
        };
        Some(Self {
            epoch: whole("epoch")?,
            step: row.step()?,
            train_loss: row.number("train_loss"),
            train: values("train_"),
            validation_loss: row.number("validation_loss"),
            validation: values("validation_"),
            lr: row.number("lr")?,
            loss_scale: row.number("loss_scale")? as f32,
            skipped: whole("skipped")?,
            examples_per_second,
        })
    }
}

impl Serialize for EpochMetrics {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("epoch", &self.epoch)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("train_loss", &self.train_loss)?;
        for (name, value) in &self.train {
            map.serialize_entry(&format!("train_{name}"), value)?;
        }
        map.serialize_entry("validation_loss", &self.validation_loss)?;
        for (name, value) in &self.validation {
            map.serialize_entry(&format!("validation_{name}"), value)?;
        }
        map.serialize_entry("lr", &self.lr)?;
        map.serialize_entry("loss_scale", &self.loss_scale)?;
        map.serialize_entry("skipped", &self.skipped)?;
        map.end()
    }
}

/// Values as they are shown to people: each with its name before it.
pub fn show(values: &Values, metrics: &[&'static dyn Metric]) -> String {
    let mut text = String::new();
    for (name, value) in values {
        if let Some(metric) = metrics.iter().find(|m| m.name() == *name) {
            text.push_str(&format!(" {name} {}", metric.show(*value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_metrics_is_read_back() {
        let metrics = EpochMetrics {
            epoch: 3,
            step: 120,
            train_loss: None,
            train: vec![("accuracy", 0.1 + 0.2), ("top5", 1.0)],
            validation_loss: Some(0.25),
            validation: vec![("accuracy", 0.5)],
            lr: 1e-3,
            loss_scale: 2048.0,
            skipped: 2,
            examples_per_second: 100.0,
        };
        let line = serde_json::to_string(&metrics).unwrap();
        let row = Row::parse(&line).unwrap();
        assert_eq!(EpochMetrics::of(&row, 100.0), Some(metrics));
        assert_eq!(EpochMetrics::of(&Row::default(), 1.0), None);
    }
}
