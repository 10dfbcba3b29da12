//! What a checkpoint says besides its tensors, and whether a run can go on from it.

use crate::{
    data::Description,
    machine::Machine,
    metric::{Better, Metric, Tally},
    trainer::{Progress, StepOutcome},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a checkpoint says besides its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The resolved configuration of the run, as in `config.json`.
    pub config: serde_json::Value,
    /// Counters.
    pub progress: Progress,
    /// The next batch: epoch, and number within it.
    pub position: (u64, usize),
    /// Sums of the epoch so far.
    pub epoch_sums: EpochSums,
    /// Best validation result so far.
    pub best: Option<Best>,
    /// What computed it; older checkpoints do not say.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// What the examples of the run are; older checkpoints do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Description>,
}

/// The validation result that is the best of a run so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredBest")]
pub struct Best {
    /// Value of the metric that chooses.
    pub value: f64,
    /// Loss, which chooses among equal values; NaN where an older checkpoint does not say.
    pub loss: f64,
    /// The epoch that reached it, from 1.
    pub epoch: u64,
}

/// [`Best`] in checkpoints; older ones have value and epoch.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredBest {
    Pair(f64, u64),
    Whole {
        value: f64,
        loss: Option<f64>,
        epoch: u64,
    },
}

impl From<StoredBest> for Best {
    fn from(stored: StoredBest) -> Self {
        match stored {
            StoredBest::Pair(value, epoch) => Self {
                value,
                loss: f64::NAN,
                epoch,
            },
            StoredBest::Whole { value, loss, epoch } => Self {
                value,
                loss: loss.unwrap_or(f64::NAN),
                epoch,
            },
        }
    }
}

impl Best {
    /// Whether a later result takes its place: one that is better, or as good with less loss.
    pub fn is_beaten_by(&self, later: &Self, better: Better) -> bool {
        better.is_improved_by(self.value, later.value)
            || (self.value == later.value && later.loss < self.loss)
    }
}

/// Running sums of an epoch's training metrics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSums {
    /// Σ loss · examples over the steps whose loss was finite.
    pub loss: f64,
    /// Of the metrics, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, Tally>,
    /// Examples.
    pub examples: u64,
    /// Examples of steps whose loss was not finite, among them.
    #[serde(default)]
    pub without_loss: u64,
}

impl EpochSums {
    /// Takes note of a step; `metrics` are those of its tallies.
    pub fn add(&mut self, outcome: &StepOutcome, metrics: &[&'static dyn Metric]) {
        for (metric, more) in metrics.iter().zip(&outcome.tallies) {
            let tally = self.metrics.entry(metric.name().to_owned()).or_default();
            tally.sum += more.sum;
            tally.count += more.count;
        }
        let examples = outcome.examples as u64;
        self.examples += examples;
        if outcome.loss.is_finite() {
            self.loss += f64::from(outcome.loss) * examples as f64;
        } else {
            self.without_loss += examples;
        }
    }

    /// Mean over the examples with a finite loss; none without any.
    pub fn mean_loss(&self) -> Option<f64> {
        let examples = self.examples.saturating_sub(self.without_loss);
        (examples > 0).then(|| self.loss / examples as f64)
    }

    /// Values of `metrics`; NaN of one that nothing was added to.
    pub fn values(&self, metrics: &[&'static dyn Metric]) -> Vec<(&'static str, f64)> {
        let value = |metric: &&'static dyn Metric| {
            let tally = self.metrics.get(metric.name()).copied().unwrap_or_default();
            (metric.name(), metric.value(&tally))
        };
        metrics.iter().map(value).collect()
    }
}

/// Most steps, epochs or examples that a record counts: far beyond any run, and far from where sums of them overflow.
const MOST: u64 = 1 << 48;

impl Record {
    /// What no run can have written, if there is any such thing; whether the counters fit a certain run is asked by
    /// [`Record::misplaced`].
    pub(super) fn implausible(&self) -> Option<String> {
        let Self {
            progress,
            position,
            epoch_sums: sums,
            best,
            ..
        } = self;
        let of_steps = |count: u64| count <= progress.step;
        let is_tally = |t: &Tally| t.sum.is_finite() && t.count.is_finite() && t.count >= 0.0;
        let says = |what: String| Some(format!("its record says {what}"));
        if progress.step > MOST || position.0 > MOST || sums.examples > MOST {
            return says(format!(
                "step {}, epoch {} and {} examples",
                progress.step, position.0, sums.examples
            ));
        }
        if !of_steps(progress.updates) || !of_steps(progress.skipped) {
            return says(format!(
                "{} updates and {} skipped steps in {} steps",
                progress.updates, progress.skipped, progress.step
            ));
        }
        if !progress.loss_scale.is_reachable() {
            return says(format!("{:?}, which no run reaches", progress.loss_scale));
        }
        if sums.without_loss > sums.examples || !sums.metrics.values().all(is_tally) {
            return says(format!("{sums:?} of its epoch"));
        }
        match *best {
            Some(Best { epoch, .. }) if epoch > MOST => {
                says(format!("that the best epoch was {epoch}"))
            }
            _ => None,
        }
    }

    /// Where the record says that the run is, if a run of so many epochs, with so many batches each, never is there.
    pub fn misplaced(&self, epochs: u64, batches: usize) -> Option<String> {
        let (epoch, batch) = self.position;
        let is_within = epoch < epochs && batch < batches;
        let is_end = epoch == epochs && batch == 0;
        // An epoch that the last step of a run ends is judged as well, and counted from 1 there.
        let judged = epoch.saturating_add(u64::from(batch > 0));
        let best_is_past = self.best.is_none_or(|best| best.epoch <= judged);
        (!(is_within || is_end) || !best_is_past).then(|| {
            let best = self.best.map_or(String::new(), |best| {
                format!(", with the best epoch {} behind it", best.epoch)
            });
            format!(
                "its record is at batch {batch} of epoch {epoch}{best}; the run has {epochs} epochs of {batches} batches, counted from 0"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const BEST: Best = Best {
        value: 0.5,
        loss: 1.0,
        epoch: 1,
    };

    /// A record as it is stored.
    fn stored() -> Value {
        let progress = Progress {
            step: 12,
            updates: 11,
            skipped: 1,
            ..Progress::default()
        };
        let record = Record {
            config: Value::Null,
            progress,
            position: (1, 2),
            epoch_sums: EpochSums {
                loss: 3.5,
                metrics: BTreeMap::from([(
                    "accuracy".to_owned(),
                    Tally {
                        sum: 10.0,
                        count: 20.0,
                    },
                )]),
                examples: 20,
                without_loss: 0,
            },
            best: Some(BEST),
            machine: None,
            data: None,
        };
        assert_eq!(record.implausible(), None);
        serde_json::to_value(record).unwrap()
    }

    #[test]
    fn what_no_run_can_have_written_is_named() {
        for (at, value, part) in [
            ("/progress/step", json!(u64::MAX), "18446744073709551615"),
            ("/progress/updates", json!(13), "13 updates"),
            ("/progress/skipped", json!(13), "13 skipped"),
            ("/progress/loss_scale/scale", json!(0), "scale: 0"),
            ("/progress/loss_scale/scale", json!(3), "scale: 3"),
            ("/progress/loss_scale/scale", json!(1 << 16), "scale: 65536"),
            ("/progress/loss_scale/good_steps", json!(2_000), "2000"),
            ("/progress/loss_scale/overflows_in_a_row", json!(10), "10"),
            ("/position/0", json!(1_u64 << 60), "1152921504606846976"),
            (
                "/epoch_sums/metrics/accuracy/count",
                json!(-1.0),
                "count: -1.0",
            ),
            ("/epoch_sums/without_loss", json!(21), "without_loss: 21"),
            ("/epoch_sums/examples", json!(1_u64 << 60), "examples"),
            ("/best/epoch", json!(1_u64 << 60), "1152921504606846976"),
        ] {
            let mut record = stored();
            *record.pointer_mut(at).unwrap() = value;
            let record: Record = serde_json::from_value(record).unwrap();
            let said = record.implausible().unwrap();
            assert!(said.contains(part), "{at}: {said}");
        }
    }

    #[test]
    fn the_best_is_beaten_by_more_or_by_as_much_with_less_loss() {
        let later = |value, loss| Best {
            value,
            loss,
            epoch: 2,
        };
        let beats = |later: Best| BEST.is_beaten_by(&later, Better::Larger);
        assert!(beats(later(0.6, 9.0)) && beats(later(0.5, 0.9)));
        assert!(!beats(later(0.5, 1.0)) && !beats(later(0.4, 0.1)));
        let old: Best = serde_json::from_str("[0.5, 1]").unwrap();
        assert!(old.value == 0.5 && old.epoch == 1 && old.loss.is_nan());
        let text = serde_json::to_string(&BEST).unwrap();
        assert_eq!(serde_json::from_str::<Best>(&text).unwrap(), BEST);
    }

    #[test]
    fn a_place_is_in_the_run_or_at_its_very_end() {
        let record = |position, best| Record {
            position,
            best,
            ..serde_json::from_value(stored()).unwrap()
        };
        for position in [(0, 0), (1, 9), (2, 0)] {
            assert_eq!(record(position, None).misplaced(2, 10), None);
        }
        for position in [(0, 10), (2, 1), (3, 0)] {
            assert!(record(position, None).misplaced(2, 10).is_some());
        }
        assert_eq!(record((1, 0), Some(BEST)).misplaced(2, 10), None);
        let second = Some(Best { epoch: 2, ..BEST });
        assert_eq!(record((1, 3), second).misplaced(2, 10), None);
        let said = record((1, 0), second).misplaced(2, 10).unwrap();
        assert!(said.contains("best epoch 2"), "{said}");
    }
}
