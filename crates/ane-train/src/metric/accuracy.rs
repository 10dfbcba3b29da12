//! Accuracy: the share of examples whose largest value is at their class.

use super::{Better, Metric, Seen, Tally, Wanted};
use crate::models::Task;

/// Share of right answers, from 0 to 1. The answer of a row is the position of its largest value; of a row of a single
/// value, whether it is above 0, as for a logit.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn better(&self) -> Better {
        Better::Larger
    }

    fn is_for(&self, task: Task) -> bool {
        task == Task::Classification
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        let rows = seen.output.chunks_exact(seen.width);
        let right = match seen.target {
            Wanted::Classes(classes) => rows
                .zip(classes)
                .filter(|(row, class)| i32::try_from(answer(row, 0.0)) == Ok(**class))
                .count(),
            Wanted::Rows(wanted) => rows
                .zip(wanted.chunks_exact(seen.width))
                .filter(|(row, wanted)| answer(row, 0.0) == answer(wanted, 0.5))
                .count(),
            Wanted::Counted(_) => 0,
        };
        tally.sum += right as f64;
        tally.count += (seen.output.len() / seen.width) as f64;
    }

    fn show(&self, value: f64) -> String {
        format!("{:.2} %", 100.0 * value)
    }
}

fn answer(row: &[f32], border: f32) -> usize {
    match row {
        [single] => usize::from(*single > border),
        _ => argmax(row),
    }
}

/// Position of the largest element, the first of equals.
pub fn argmax(row: &[f32]) -> usize {
    row.iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, &x)| {
            if x > best.1 { (i, x) } else { best }
        })
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy(output: &[f32], width: usize, target: Wanted<'_>) -> f64 {
        let mut tally = Tally::default();
        let seen = Seen {
            output,
            width,
            target,
        };
        Accuracy.add(&seen, &mut tally);
        Accuracy.value(&tally)
    }

    #[test]
    fn the_largest_value_answers_whatever_form_the_target_has() {
        let output = [0.0, 2.0, 1.0, 3.0, 3.0, 0.0];
        assert_eq!(accuracy(&output, 3, Wanted::Classes(&[1, 1])), 0.5);
        let rows = [0.1, 0.8, 0.1, 1.0, 0.0, 0.0];
        assert_eq!(accuracy(&output, 3, Wanted::Rows(&rows)), 1.0);
        assert_eq!(accuracy(&[-0.5, 0.5], 1, Wanted::Classes(&[0, 1])), 1.0);
        assert_eq!(accuracy(&[-0.5, 0.5], 1, Wanted::Rows(&[1.0, 1.0])), 0.5);
    }
}
