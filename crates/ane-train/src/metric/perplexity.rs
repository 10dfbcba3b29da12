//! Perplexity: e to the mean cross-entropy, the number of classes, or tokens, a model is as unsure between.

use super::{Better, Metric, Seen, Tally, Wanted};
use crate::models::Task;

/// e to the mean of −ln softmax(output) at the class, from 1 on. For targets that are rows it is the mean over the
/// row's distribution.
#[derive(Debug, Clone, Copy)]
pub struct Perplexity;

impl Metric for Perplexity {
    fn name(&self) -> &'static str {
        "perplexity"
    }

    fn better(&self) -> Better {
        Better::Smaller
    }

    fn is_for(&self, task: Task) -> bool {
        matches!(task, Task::Classification | Task::Language)
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        if let Wanted::Counted(counted) = seen.target {
            for (&loss, &counted) in seen.output.iter().zip(counted) {
                tally.sum += f64::from(loss) * f64::from(counted);
                tally.count += f64::from(counted);
            }
            return;
        }
        for (i, row) in seen.output.chunks_exact(seen.width).enumerate() {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exp = |&x: &f32| f64::from(x - largest).exp();
            let normaliser = f64::from(largest) + row.iter().map(exp).sum::<f64>().ln();
            let cost = |x: f32| normaliser - f64::from(x);
            tally.sum += match seen.target {
                Wanted::Classes(classes) => usize::try_from(classes[i])
                    .ok()
                    .and_then(|c| row.get(c))
                    .map_or(f64::NAN, |&x| cost(x)),
                Wanted::Counted(_) => unreachable!("they are added above"),
                Wanted::Rows(rows) => row
                    .iter()
                    .zip(&rows[i * seen.width..])
                    .filter(|(_, t)| **t != 0.0)
                    .map(|(&x, &t)| f64::from(t) * cost(x))
                    .sum(),
            };
            tally.count += 1.0;
        }
    }

    fn value(&self, tally: &Tally) -> f64 {
        (tally.sum / tally.count).exp()
    }

    fn show(&self, value: f64) -> String {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perplexity(output: &[f32], target: Wanted<'_>) -> f64 {
        let mut tally = Tally::default();
        let seen = Seen {
            output,
            width: 4,
            target,
        };
        Perplexity.add(&seen, &mut tally);
        Perplexity.value(&tally)
    }

    #[test]
    fn equal_values_are_as_many_classes() {
        assert!((perplexity(&[7.0; 4], Wanted::Classes(&[2])) - 4.0).abs() < 1e-6);
        let row = [0.25; 4];
        assert!((perplexity(&[7.0; 4], Wanted::Rows(&row)) - 4.0).abs() < 1e-6);
        // Logits ln 1, ln 2, ln 4 and ln 1: a share of one half for the third class.
        let logits = [0.0, 2.0_f32.ln(), 4.0_f32.ln(), 0.0];
        assert!((perplexity(&logits, Wanted::Classes(&[2])) - 2.0).abs() < 1e-6);
        // Far from 0 as well.
        let far = logits.map(|x| x + 30_000.0);
        assert!((perplexity(&far, Wanted::Classes(&[2])) - 2.0).abs() < 2e-2);
    }
}
