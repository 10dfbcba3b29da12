//! Metrics: what is said of a model besides its loss, computed on the host from outputs and targets.
//!
//! A metric adds up a tally over the examples of batches; its value is formed from the tally, so that it does not depend
//! on how examples were batched. To add one: a file in `metric/` and its line in [`ALL`].

mod accuracy;
mod binary_accuracy;
mod mae;
mod mse;
mod perplexity;
mod rmse;
mod top_k;

pub use accuracy::{Accuracy, argmax};
pub use binary_accuracy::BinaryAccuracy;
pub use mae::Mae;
pub use mse::Mse;
pub use perplexity::Perplexity;
pub use rmse::Rmse;
pub use top_k::Top5;

use crate::models::Task;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Every metric there is.
pub const ALL: &[&dyn Metric] = &[
    &Accuracy,
    &Top5,
    &BinaryAccuracy,
    &Perplexity,
    &Mse,
    &Rmse,
    &Mae,
];

/// A metric.
pub trait Metric: Send + Sync + fmt::Debug {
    /// Its name, as in `train_accuracy`.
    fn name(&self) -> &'static str;
    /// Which values are better.
    fn better(&self) -> Better;
    /// Whether it says something of what a model is for.
    fn is_for(&self, task: Task) -> bool {
        task != Task::Language
    }
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
    /// The output's values are the losses of tokens; 1 for each that counts, 0 for another.
    Counted(&'a [f32]),
}

/// Sums from which a metric's value is formed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// What was added.
    pub sum: f64,
    /// Over how many.
    pub count: f64,
}

/// The difference of every value of every row from what it should have been; a class is a row with a 1 at its place.
fn errors<'a>(seen: &Seen<'a>) -> impl Iterator<Item = f64> + use<'a> {
    let (width, target) = (seen.width, seen.target);
    seen.output.iter().enumerate().map(move |(i, &x)| {
        let wanted = match target {
            Wanted::Rows(rows) => rows[i],
            // A loss should be 0.
            Wanted::Counted(_) => 0.0,
            Wanted::Classes(classes) if width == 1 => classes[i] as f32,
            Wanted::Classes(classes) => {
                let here = usize::try_from(classes[i / width]) == Ok(i % width);
                f32::from(u8::from(here))
            }
        };
        f64::from(x) - f64::from(wanted)
    })
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
    fn errors_are_distances_from_rows_or_from_the_row_of_a_class() {
        let of = |metric: &dyn Metric, output: &[f32], width, target| {
            let mut tally = Tally::default();
            let seen = Seen {
                output,
                width,
                target,
            };
            metric.add(&seen, &mut tally);
            metric.value(&tally)
        };
        let output = [1.0, -1.0, 0.5, 3.0];
        let rows = Wanted::Rows(&[0.0, 1.0, 0.5, 0.0]);
        assert_eq!(of(&Mse, &output, 2, rows), 14.0 / 4.0);
        assert_eq!(of(&Rmse, &output, 2, rows), (14.0_f64 / 4.0).sqrt());
        assert_eq!(of(&Mae, &output, 2, rows), 6.0 / 4.0);
        let classes = Wanted::Classes(&[0, 1]);
        assert_eq!(of(&Mse, &output, 2, classes), (1.0 + 0.25 + 4.0) / 4.0);
        assert_eq!(of(&Mae, &[0.5, 3.0], 1, classes), (0.5 + 2.0) / 2.0);
    }

    #[test]
    fn an_improvement_is_in_the_metrics_own_direction() {
        assert!(Better::Larger.is_improved_by(0.5, 0.6));
        assert!(!Better::Larger.is_improved_by(0.5, 0.5));
        assert!(Better::Smaller.is_improved_by(0.5, 0.4));
        assert!(!Better::Smaller.is_improved_by(0.5, f64::NAN));
    }
}
