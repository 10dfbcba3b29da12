//! Loss and metrics over many examples, changing nothing.

use super::{batches::each_batch, event::Values};
use crate::{
    data::{Batch, Dataset},
    error::TrainerError,
    metric::{Better, Metric, Tally},
    recovery::Faults,
    trainer::{Evaluated, Trainer},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::sync::Arc;

/// Some examples of a data set.
#[derive(Debug, Clone)]
pub struct Examples {
    /// The data set, without augmentation.
    pub data: Arc<dyn Dataset>,
    /// Which of its examples.
    pub indices: Vec<u32>,
}

impl Examples {
    /// All of them.
    pub fn all(data: Arc<dyn Dataset>) -> Self {
        let indices = (0..u32::try_from(data.len()).unwrap_or(u32::MAX)).collect();
        Self { data, indices }
    }
}

/// Loss and metrics over examples. As JSON, metrics stand beside the loss by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f64,
    /// Values of the trainer's metrics.
    pub metrics: Values,
    /// Number of examples.
    pub examples: usize,
}

impl Evaluation {
    /// The value of a metric.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| *value)
    }

    /// What chooses the best state, and which values of it are better: the first metric, or else the loss.
    pub fn score(&self, metrics: &[&'static dyn Metric]) -> (f64, Better) {
        let first = metrics.first().zip(self.metrics.first());
        first.map_or((self.loss, Better::Smaller), |(metric, (_, value))| {
            (*value, metric.better())
        })
    }
}

impl Serialize for Evaluation {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("loss", &self.loss)?;
        for (name, value) in &self.metrics {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("examples", &self.examples)?;
        map.end()
    }
}

/// The values of tallies.
pub(super) fn values(metrics: &[&'static dyn Metric], tallies: &[Tally]) -> Values {
    let pairs = metrics.iter().zip(tallies);
    pairs
        .map(|(metric, tally)| (metric.name(), metric.value(tally)))
        .collect()
}

/// Evaluates examples, changing nothing; after a fault that is survived it goes on with the same batch.
///
/// # Errors
/// When an example cannot be read, a batch does not fit the model, or the device fails for good.
pub fn evaluate(
    trainer: &mut Trainer,
    examples: &Examples,
    faults: &mut Faults,
) -> Result<Evaluation, TrainerError> {
    evaluate_each(trainer, examples, faults, &mut |_, _| {})
}

/// [`evaluate`], showing every batch with what came of it.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_each(
    trainer: &mut Trainer,
    examples: &Examples,
    faults: &mut Faults,
    seen: &mut dyn FnMut(&Batch, &Evaluated),
) -> Result<Evaluation, TrainerError> {
    let metrics = trainer.config().metrics.clone();
    let mut loss = 0.0;
    let mut tallies = vec![Tally::default(); metrics.len()];
    let take = |chunk: &[u32], batch: &Batch, result: Evaluated| {
        seen(batch, &result);
        loss += f64::from(result.loss) * chunk.len() as f64;
        for (tally, more) in tallies.iter_mut().zip(&result.tallies) {
            tally.sum += more.sum;
            tally.count += more.count;
        }
    };
    each_batch(trainer, examples, faults, Trainer::evaluate, take)?;
    let n = examples.indices.len().max(1) as f64;
    Ok(Evaluation {
        loss: loss / n,
        metrics: values(&metrics, &tallies),
        examples: examples.indices.len(),
    })
}
