//! Root of the mean squared error.

use super::{Better, Metric, Mse, Seen, Tally};
use crate::models::Task;

/// The root of the mean of squared differences over all values of all examples, in their own unit.
#[derive(Debug, Clone, Copy)]
pub struct Rmse;

impl Metric for Rmse {
    fn name(&self) -> &'static str {
        "rmse"
    }

    fn better(&self) -> Better {
        Better::Smaller
    }

    fn is_for(&self, task: Task) -> bool {
        matches!(task, Task::Regression | Task::Reconstruction)
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        Mse.add(seen, tally);
    }

    fn value(&self, tally: &Tally) -> f64 {
        Mse.value(tally).sqrt()
    }

    fn show(&self, value: f64) -> String {
        format!("{value:.6}")
    }
}
