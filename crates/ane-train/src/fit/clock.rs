//! What an epoch takes, and on what.

use serde::Serialize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time of the steps since a moment.
pub(super) struct Clock {
    since: Instant,
    /// Of the epoch, before that moment.
    examples: u64,
    steps: u32,
    engine: Duration,
    host: Duration,
    data: Duration,
}

/// What a step takes, in milliseconds: means over the steps of an epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Phases {
    /// In which the programs of the engine ran.
    pub engine_ms: f64,
    /// Of the host: its stages, copies, metrics and the update.
    pub host_ms: f64,
    /// Of waiting for examples.
    pub data_ms: f64,
}

/// A line of `timing.jsonl`: what the part of an epoch took that this process has trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps taken so far.
    pub step: u64,
    /// When its last step was done, in seconds since 1970.
    pub unix_time: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// Examples trained on in that time.
    pub examples: u64,
    /// Examples per second of training.
    pub examples_per_second: f64,
    /// Milliseconds a step.
    #[serde(flatten)]
    pub phases: Phases,
    /// Seconds of validation, where there was one.
    pub validation_seconds: Option<f64>,
}

impl Timing {
    /// What TensorBoard is told of it.
    pub(super) fn scalars(&self) -> [(&'static str, f64); 4] {
        [
            ("time/examples_per_second", self.examples_per_second),
            ("time/engine_ms", self.phases.engine_ms),
            ("time/host_ms", self.phases.host_ms),
            ("time/data_ms", self.phases.data_ms),
        ]
    }
}

impl Clock {
    /// Starts in an epoch of which so many examples are done.
    pub(super) fn start(examples: u64) -> Self {
        Self {
            since: Instant::now(),
            examples,
            steps: 0,
            engine: Duration::ZERO,
            host: Duration::ZERO,
            data: Duration::ZERO,
        }
    }

    /// Takes note of a wait for examples.
    pub(super) fn waited(&mut self, time: Duration) {
        self.data += time;
    }

    /// Takes note of a pause, which is no time of training.
    pub(super) fn paused(&mut self, time: Duration) {
        self.since += time;
    }

    /// Takes note of a step, during a part of which the engine ran.
    pub(super) fn stepped(&mut self, time: Duration, engine: Duration) {
        self.steps += 1;
        self.engine += engine;
        self.host += time.saturating_sub(engine);
    }

    /// What its steps have taken so far.
    pub(super) fn phases(&self) -> Phases {
        let per_step = |time: Duration| 1e3 * time.as_secs_f64() / f64::from(self.steps.max(1));
        Phases {
            engine_ms: per_step(self.engine),
            host_ms: per_step(self.host),
            data_ms: per_step(self.data),
        }
    }

    /// What the epoch took, of which so many examples are done, without a validation.
    pub(super) fn timing(&self, epoch: u64, step: u64, examples: u64) -> Timing {
        let elapsed = self.since.elapsed().max(Duration::from_micros(1));
        let seconds = elapsed.as_secs_f64();
        let examples = examples.saturating_sub(self.examples);
        Timing {
            epoch,
            step,
            unix_time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |d| d.as_secs_f64()),
            seconds,
            examples,
            examples_per_second: examples as f64 / seconds,
            phases: self.phases(),
            validation_seconds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_are_means_over_the_steps() {
        let ms = Duration::from_millis;
        let mut clock = Clock::start(64);
        for _ in 0..2 {
            clock.waited(ms(1));
            clock.stepped(ms(10), ms(7));
        }
        let timing = clock.timing(1, 4, 128);
        assert_eq!((timing.epoch, timing.step, timing.examples), (1, 4, 64));
        let Phases {
            engine_ms,
            host_ms,
            data_ms,
        } = timing.phases;
        assert_eq!([engine_ms, host_ms, data_ms], [7.0, 3.0, 1.0]);
        assert!(timing.unix_time > 1.7e9 && timing.examples_per_second > 0.0);
    }

    #[test]
    fn a_pause_is_no_time_of_training() {
        let mut clock = Clock::start(0);
        let since = clock.since;
        clock.paused(Duration::from_secs(3));
        assert_eq!(clock.since - since, Duration::from_secs(3));
    }
}
