//! How fast examples go by.

use std::time::{Duration, Instant};

/// Speed of the examples since a moment.
pub(super) struct Clock {
    since: Instant,
    examples: u64,
}

impl Clock {
    pub(super) fn start(examples: u64) -> Self {
        Self {
            since: Instant::now(),
            examples,
        }
    }

    pub(super) fn speed(&self, examples: u64) -> f64 {
        let seconds = self
            .since
            .elapsed()
            .max(Duration::from_micros(1))
            .as_secs_f64();
        examples.saturating_sub(self.examples) as f64 / seconds
    }
}
