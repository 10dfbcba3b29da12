//! Mean absolute error.

use super::{Better, Metric, Seen, Tally, errors};

/// The mean of absolute differences over all values of all examples.
#[derive(Debug, Clone, Copy)]
pub struct Mae;

impl Metric for Mae {
    fn name(&self) -> &'static str {
        "mae"
    }

    fn better(&self) -> Better {
        Better::Smaller
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        for error in errors(seen) {
            tally.sum += error.abs();
            tally.count += 1.0;
        }
    }

    fn show(&self, value: f64) -> String {
        format!("{value:.6}")
    }
}
