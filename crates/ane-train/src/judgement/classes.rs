//! Answers to examples of classes: what was decided of each, and how well each class is told from the others.

use super::{
    calibration::Calibration,
    confusion::{Confusion, Mistake},
};
use crate::{loss::Loss, metric::argmax};
use serde::Serialize;

/// What a model decided of an example.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decision {
    /// The class that it is of.
    pub class: usize,
    /// The class that was answered: the position of the largest output, or of a single one whether it is above 0.
    pub predicted: usize,
    /// The probability that the model gives its answer; none where its outputs are no scores of classes.
    pub confidence: Option<f64>,
    /// The probability that the model gives the right class.
    pub of_class: Option<f64>,
    /// How many classes scored higher than the right one.
    pub ahead: usize,
}

impl Decision {
    /// What is decided by rows of outputs; none where a class is no position of them.
    pub(super) fn all(
        outputs: &[f32],
        width: usize,
        classes: &[i32],
        loss: &Loss,
    ) -> Option<Vec<Self>> {
        let told_apart = if width == 1 { 2 } else { width };
        let rows = outputs.chunks_exact(width.max(1)).zip(classes);
        rows.map(|(row, &class)| {
            let class = usize::try_from(class).ok().filter(|c| *c < told_apart)?;
            Some(Self::of(row, class, loss))
        })
        .collect()
    }

    fn of(row: &[f32], class: usize, loss: &Loss) -> Self {
        if let [single] = row {
            let predicted = usize::from(*single > 0.0);
            let is_one = matches!(loss, Loss::BceWithLogits).then(|| sigmoid(f64::from(*single)));
            let of = |c| is_one.map(|p| if c == 1 { p } else { 1.0 - p });
            return Self {
                class,
                predicted,
                confidence: of(predicted),
                of_class: of(class),
                ahead: usize::from(predicted != class),
            };
        }
        let predicted = argmax(row);
        let is_ahead = |&(j, &x): &(usize, &f32)| {
            x > row[class] || (x == row[class] && j < class) || row[class].is_nan()
        };
        Self {
            class,
            predicted,
            confidence: probability(row, predicted, loss),
            of_class: probability(row, class, loss),
            ahead: row.iter().enumerate().filter(is_ahead).count(),
        }
    }

    /// Whether the answer is right.
    pub fn is_right(&self) -> bool {
        self.class == self.predicted
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The probability of a class by outputs that were trained with a loss that makes them scores.
fn probability(row: &[f32], class: usize, loss: &Loss) -> Option<f64> {
    match loss {
        Loss::CrossEntropy { .. } => {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let part = |x: f32| f64::from(x - largest).exp();
            let whole: f64 = row.iter().map(|&x| part(x)).sum();
            Some(part(row[class]) / whole)
        }
        Loss::BceWithLogits => Some(sigmoid(f64::from(row[class]))),
        Loss::Mse | Loss::L1 | Loss::Huber { .. } => None,
    }
}

/// How well a class is told from the others. What would be a part of nothing is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScore {
    /// Its name.
    pub name: String,
    /// Share of the answers with this class that are right.
    pub precision: Option<f64>,
    /// Share of its examples that were answered with it.
    pub recall: Option<f64>,
    /// The harmonic mean of both.
    pub f1: Option<f64>,
    /// Its examples.
    pub support: u64,
    /// Answers with this class.
    pub predicted: u64,
}

/// Means over the classes, each of the same weight, without those that have no value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Means {
    /// Of precision.
    pub precision: Option<f64>,
    /// Of recall.
    pub recall: Option<f64>,
    /// Of F1.
    pub f1: Option<f64>,
}

/// What answers to examples of classes are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassesJudged {
    /// Share of right answers.
    pub accuracy: f64,
    /// Share of the examples whose class is among the five that scored highest, where there are more than five.
    pub top5: Option<f64>,
    /// Means over the classes.
    pub means: Means,
    /// By class, in order.
    pub classes: Vec<ClassScore>,
    /// Which classes were answered for which.
    pub confusion: Confusion,
    /// The most frequent mistakes, at most twenty.
    pub mistakes: Vec<Mistake>,
    /// How far confidence can be trusted, where outputs are scores of classes.
    pub calibration: Option<Calibration>,
    /// Of each example.
    #[serde(skip)]
    pub decisions: Vec<Decision>,
}

/// Most mistakes that are listed.
const MISTAKES: usize = 20;

impl ClassesJudged {
    /// Judges decisions about classes with names; a class without one is called by its number.
    pub(super) fn of(
        names: &[String],
        width: usize,
        decisions: Vec<Decision>,
        loss: &Loss,
    ) -> Self {
        let classes = names.len().max(if width == 1 { 2 } else { width });
        let name = |c: usize| names.get(c).cloned().unwrap_or_else(|| c.to_string());
        let names: Vec<String> = (0..classes).map(name).collect();
        let confusion = Confusion::of(classes, &decisions);
        let share = |of: &dyn Fn(&Decision) -> bool| {
            let hits = decisions.iter().filter(|d| of(d)).count();
            hits as f64 / decisions.len().max(1) as f64
        };
        let scores = confusion.scores(&names);
        let is_softmax = matches!(loss, Loss::CrossEntropy { .. } | Loss::BceWithLogits);
        Self {
            accuracy: share(&Decision::is_right),
            top5: (classes > 5).then(|| share(&|d| d.ahead < 5)),
            means: Means {
                precision: mean(scores.iter().map(|s| s.precision)),
                recall: mean(scores.iter().map(|s| s.recall)),
                f1: mean(scores.iter().map(|s| s.f1)),
            },
            mistakes: confusion.mistakes(&names, MISTAKES),
            calibration: is_softmax.then(|| Calibration::of(&decisions)),
            classes: scores,
            confusion,
            decisions,
        }
    }

    /// The examples that were answered wrongly, those first whose class was given the least probability.
    pub fn most_wrong(&self) -> Vec<(usize, Decision)> {
        let decisions = self.decisions.iter().copied().enumerate();
        let mut wrong: Vec<(usize, Decision)> = decisions.filter(|(_, d)| !d.is_right()).collect();
        let of_class = |d: &Decision| d.of_class.unwrap_or(1.0);
        wrong.sort_by(|(_, a), (_, b)| of_class(a).total_cmp(&of_class(b)));
        wrong
    }
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.flatten().collect();
    let count = values.len() as f64;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)
}
