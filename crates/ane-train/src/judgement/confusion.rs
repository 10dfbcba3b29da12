//! Which classes were answered for which.

use super::classes::{ClassScore, Decision};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use std::collections::BTreeMap;

/// How often each class was answered for examples of each class. As JSON, a row per class of the examples, where there are
/// few enough classes, and `null` otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    classes: usize,
    /// By class of the example and answer. Most of many classes are never mistaken for each other.
    counts: BTreeMap<(usize, usize), u64>,
}

/// A class that was answered for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The class of the examples.
    pub class: String,
    /// What was answered.
    pub predicted: String,
    /// How often.
    pub count: u64,
}

/// Most classes whose matrix is written.
const MOST_WRITTEN: usize = 1000;

impl Confusion {
    pub(super) fn of(classes: usize, decisions: &[Decision]) -> Self {
        let mut counts = BTreeMap::new();
        for d in decisions {
            *counts.entry((d.class, d.predicted)).or_default() += 1;
        }
        Self { classes, counts }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often `predicted` was answered for an example of `class`.
    pub fn count(&self, class: usize, predicted: usize) -> u64 {
        self.counts.get(&(class, predicted)).copied().unwrap_or(0)
    }

    /// How well each class is told from the others.
    pub(super) fn scores(&self, names: &[String]) -> Vec<ClassScore> {
        let mut support = vec![0; self.classes];
        let mut predicted = vec![0; self.classes];
        for (&(class, answer), &n) in &self.counts {
            support[class] += n;
            predicted[answer] += n;
        }
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let classes = names.iter().enumerate();
        classes
            .map(|(c, name)| {
                let right = self.count(c, c);
                ClassScore {
                    name: name.clone(),
                    precision: share(right, predicted[c]),
                    recall: share(right, support[c]),
                    f1: share(2 * right, support[c] + predicted[c]),
                    support: support[c],
                    predicted: predicted[c],
                }
            })
            .collect()
    }

    /// The most frequent mistakes.
    pub(super) fn mistakes(&self, names: &[String], most: usize) -> Vec<Mistake> {
        let wrong = self.counts.iter().filter(|((a, b), _)| a != b);
        let mut wrong: Vec<(&(usize, usize), &u64)> = wrong.collect();
        // Equal ones stay in the order of the classes.
        wrong.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let found = wrong.into_iter().take(most);
        found
            .map(|(&(class, predicted), &count)| Mistake {
                class: names[class].clone(),
                predicted: names[predicted].clone(),
                count,
            })
            .collect()
    }
}

impl Serialize for Confusion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.classes > MOST_WRITTEN {
            return to.serialize_none();
        }
        let mut rows = to.serialize_seq(Some(self.classes))?;
        for class in 0..self.classes {
            let row = (0..self.classes).map(|predicted| self.count(class, predicted));
            rows.serialize_element(&row.collect::<Vec<u64>>())?;
        }
        rows.end()
    }
}
