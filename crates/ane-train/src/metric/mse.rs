//! Mean squared error.

use super::{Better, Metric, Seen, Tally, errors};

/// The mean of squared differences over all values of all examples.
#[derive(Debug, Clone, Copy)]
pub struct Mse;

impl Metric for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn better(&self) -> Better {
        Better::Smaller
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        for error in errors(seen) {
            tally.sum += error * error;
            tally.count += 1.0;
        }
    }

    fn show(&self, value: f64) -> String {
        format!("{value:.6}")
    }
}
