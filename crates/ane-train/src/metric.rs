//! Metrics: what is said of a model besides its loss, computed on the host from outputs and targets.
//!
//! A metric adds up a tally over the examples of batches; its value is formed from the tally, so that it does not depend
//! on how examples were batched. To add one: a file in `metric/` and its line in [`ALL`].

mod accuracy;

pub use accuracy::{Accuracy, argmax};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Every metric there is.
pub const ALL: &[&dyn Metric] = &[&Accuracy];

/// A metric.
pub trait Metric: Send + Sync + fmt::Debug {
    /// Its name, as in `train_accuracy`.
    fn name(&self) -> &'static str;
    /// Which values are better.
    fn better(&self) -> Better;
    /// Adds the examples of a batch.
    fn add(&self, seen: &Seen<'_>, tally: &mut Tally);
    /// The value of a tally; NaN of an empty one.
    fn value(&self, tally: &Tally) -> f64 {
        tally.sum / tally.count
    }
    /// A value as it is shown to people.
    fn show(&self, value: f64) -> String;
}

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The larger one.
    Larger,
    /// The smaller one.
    Smaller,
}

impl Better {
    /// Whether `new` is better than `old`; NaN is not.
    pub fn is_improved_by(self, old: f64, new: f64) -> bool {
        match self {
            Self::Larger => new > old,
            Self::Smaller => new < old,
        }
    }
}

/// The examples of a batch, without its padding.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The output's rows, `width` values each.
    pub output: &'a [f32],
    /// Values in a row.
    pub width: usize,
    /// What the rows should have been.
    pub target: Wanted<'a>,
}

/// The targets of a batch, without its padding.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// A class per row.
    Classes(&'a [i32]),
    /// As many values per row as the output has.
    Rows(&'a [f32]),
}

/// Sums from which a metric's value is formed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// What was added.
    pub sum: f64,
    /// Over how many.
    pub count: f64,
}

/// No metric has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no metric is called `{name}`; there are {}", .known.join(", "))]
pub struct UnknownMetric {
    /// What was asked for.
    pub name: String,
    known: Vec<&'static str>,
}

/// The metric called `name`.
///
/// # Errors
/// When there is none.
pub fn named(name: &str) -> Result<&'static dyn Metric, UnknownMetric> {
    let found = ALL.iter().copied().find(|m| m.name() == name);
    found.ok_or_else(|| UnknownMetric {
        name: name.to_owned(),
        known: ALL.iter().map(|m| m.name()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_metric_is_refused_with_those_there_are() {
        let error = named("acuracy").unwrap_err().to_string();
        assert!(error.starts_with("no metric is called `acuracy`; there are"));
        for metric in ALL {
            assert!(error.contains(metric.name()), "{error}");
            assert_eq!(named(metric.name()).unwrap().name(), metric.name());
        }
    }

    #[test]
    fn an_improvement_is_in_the_metrics_own_direction() {
        assert!(Better::Larger.is_improved_by(0.5, 0.6));
        assert!(!Better::Larger.is_improved_by(0.5, 0.5));
        assert!(Better::Smaller.is_improved_by(0.5, 0.4));
        assert!(!Better::Smaller.is_improved_by(0.5, f64::NAN));
    }
}
