//! Binary accuracy: the share of labels that a model sets rightly, for two classes or many labels.

use super::{Better, Metric, Seen, Tally, Wanted};

/// Share of values on the right side: a logit above 0 for a target above one half. Every value counts by itself, so an
/// example of many labels may be partly right.
#[derive(Debug, Clone, Copy)]
pub struct BinaryAccuracy;

impl Metric for BinaryAccuracy {
    fn name(&self) -> &'static str {
        "binary_accuracy"
    }

    fn better(&self) -> Better {
        Better::Larger
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        for (i, &x) in seen.output.iter().enumerate() {
            let (row, column) = (i / seen.width, i % seen.width);
            let wanted = match seen.target {
                Wanted::Rows(rows) => rows[i] > 0.5,
                Wanted::Classes(classes) if seen.width == 1 => classes[row] > 0,
                Wanted::Classes(classes) => usize::try_from(classes[row]) == Ok(column),
                Wanted::Counted(_) => false,
            };
            tally.sum += f64::from(u8::from((x > 0.0) == wanted));
            tally.count += 1.0;
        }
    }

    fn show(&self, value: f64) -> String {
        format!("{:.2} %", 100.0 * value)
    }
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
        BinaryAccuracy.add(&seen, &mut tally);
        BinaryAccuracy.value(&tally)
    }

    #[test]
    fn every_label_counts_by_itself() {
        let logits = [1.0, -1.0, 1.0, -1.0];
        assert_eq!(
            accuracy(&logits, 2, Wanted::Rows(&[1.0, 0.0, 0.0, 0.0])),
            0.75
        );
        assert_eq!(accuracy(&logits, 1, Wanted::Classes(&[1, 0, 0, 0])), 0.75);
        assert_eq!(accuracy(&logits, 2, Wanted::Classes(&[0, 1])), 0.5);
    }
}
