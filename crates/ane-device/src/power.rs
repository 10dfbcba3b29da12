//! What the Neural Engine draws while something runs, where the system tells.
//!
//! A [`PowerMeter`] asks a [`PowerSource`] again and again on a thread of its own. Whatever becomes of that thread, the
//! work that is measured goes on: a failure costs the numbers and nothing else.

use crate::power_source;
use serde::Serialize;
use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a sample takes. Sources average over it, so it loses nothing; shorter ones cost more.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the Neural Engine drew. The whole system's use is measured, this process's and any other's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    /// Mean in watts.
    pub ane_watts: f64,
    /// The highest sample in watts.
    pub ane_watts_peak: f64,
    /// The share of samples in which it drew anything.
    pub ane_active: f64,
    /// Samples, each a mean over a second.
    pub samples: u64,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the Neural Engine drew {:.2} W on average and {:.2} W at most, and was active in {:.0} % of {} samples",
            self.ane_watts,
            self.ane_watts_peak,
            100.0 * self.ane_active,
            self.samples
        )
    }
}

/// Something that can tell what the Neural Engine draws.
pub trait PowerSource {
    /// Waits for `interval` and returns the mean power over it, in watts.
    ///
    /// # Errors
    /// In the source's own words.
    fn ane_watts(&mut self, interval: Duration) -> Result<f64, String>;
}

/// Opens a source on the thread that asks it.
pub(crate) type Open = fn() -> Result<Box<dyn PowerSource>, String>;

/// Why there are no numbers where there could have been some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PowerError {
    /// The source cannot be opened or asked.
    #[error("the power of the Neural Engine was not measured: {reason}")]
    Source {
        /// The source's own words.
        reason: String,
    },
    /// The source broke off.
    #[error("the power of the Neural Engine was not measured: what samples it panicked")]
    Panicked,
    /// Nothing was drawn at all, which is also what sources say that know nothing.
    #[error(
        "the system saw the Neural Engine draw nothing in {samples} samples: it does not tell here, or the engine was not used"
    )]
    Nothing {
        /// Samples that said so.
        samples: u64,
    },
    /// No thread could be had.
    #[error("the power of the Neural Engine was not measured: no thread can be started: {0}")]
    Thread(io::Error),
}

/// Measures from [`PowerMeter::start`] to [`PowerMeter::stop`].
#[derive(Debug)]
pub struct PowerMeter {
    shared: Arc<Shared>,
    /// `None` where nothing can be measured.
    thread: Option<io::Result<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    watts: f64,
    peak: f64,
    active: u64,
    samples: u64,
    failure: Option<String>,
}

impl PowerMeter {
    /// Starts to measure, where this system has a source.
    pub fn start() -> Self {
        match power_source::OPEN {
            Some(open) => Self::of(open),
            None => Self {
                shared: Arc::default(),
                thread: None,
            },
        }
    }

    /// Starts to measure by the source that `open` returns; it is opened on the thread that asks it.
    pub fn of<F>(open: F) -> Self
    where
        F: FnOnce() -> Result<Box<dyn PowerSource>, String> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let asking = shared.clone();
        let thread = thread::Builder::new()
            .name("power".to_owned())
            .spawn(move || asking.ask(open));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Stops measuring. `None` where nothing can be measured, or the time was too short for a sample.
    ///
    /// Does not wait for a sample that is being taken: a source that hangs is left to itself.
    ///
    /// # Errors
    /// When measuring failed at any time: what was measured before it is no mean over the whole.
    pub fn stop(self) -> Result<Option<Power>, PowerError> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread else {
            return Ok(None);
        };
        let thread = thread.map_err(PowerError::Thread)?;
        if thread.is_finished() && thread.join().is_err() {
            return Err(PowerError::Panicked);
        }
        self.shared.result()
    }
}

impl Shared {
    fn ask(&self, open: impl FnOnce() -> Result<Box<dyn PowerSource>, String>) {
        if let Err(reason) = open().and_then(|mut source| self.sample(&mut *source)) {
            self.with_sums(|sums| sums.failure = Some(reason));
        }
    }

    /// Samples until it is told to stop.
    fn sample(&self, source: &mut dyn PowerSource) -> Result<(), String> {
        loop {
            let watts = source.ane_watts(INTERVAL)?;
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            if !watts.is_finite() || watts < 0.0 {
                return Err(format!("{watts} W were reported"));
            }
            self.with_sums(|sums| {
                sums.watts += watts;
                sums.peak = sums.peak.max(watts);
                sums.active += u64::from(watts > 0.0);
                sums.samples += 1;
            });
        }
    }

    fn result(&self) -> Result<Option<Power>, PowerError> {
        self.with_sums(|sums| {
            if let Some(reason) = sums.failure.take() {
                return Err(PowerError::Source { reason });
            }
            let samples = sums.samples;
            if samples == 0 {
                return Ok(None);
            }
            if sums.active == 0 {
                return Err(PowerError::Nothing { samples });
            }
            Ok(Some(Power {
                ane_watts: sums.watts / samples as f64,
                ane_watts_peak: sums.peak,
                ane_active: sums.active as f64 / samples as f64,
                samples,
            }))
        })
    }

    fn with_sums<R>(&self, f: impl FnOnce(&mut Sums) -> R) -> R {
        f(&mut self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Says when it is asked, and answers what it is told.
    struct Fake {
        asked: Sender<()>,
        answers: Receiver<Result<f64, String>>,
    }

    impl PowerSource for Fake {
        fn ane_watts(&mut self, _: Duration) -> Result<f64, String> {
            self.asked.send(()).unwrap();
            self.answers.recv().expect("an answer")
        }
    }

    /// A meter that has had `answers`, and what keeps its source waiting for the next one.
    fn measured(answers: &[Result<f64, &str>]) -> (PowerMeter, Sender<Result<f64, String>>) {
        let (asked, questions) = channel();
        let (answer, told) = channel();
        let meter = PowerMeter::of(move || {
            Ok(Box::new(Fake {
                asked,
                answers: told,
            }))
        });
        for a in answers {
            questions.recv().unwrap();
            answer.send(a.map_err(str::to_owned)).unwrap();
        }
        // The next question comes after the answer was taken in; a source that failed is asked no more.
        let _ = questions.recv();
        (meter, answer)
    }

    /// The meter when its thread has ended, as that of a failed source does.
    fn ended(meter: PowerMeter) -> PowerMeter {
        while let Some(Ok(thread)) = &meter.thread
            && !thread.is_finished()
        {
            thread::yield_now();
        }
        meter
    }

    #[test]
    fn samples_become_a_mean_a_peak_and_a_share_without_waiting_for_the_next() {
        let (meter, _waiting) = measured(&[Ok(3.0), Ok(0.0), Ok(6.0), Ok(1.0)]);
        let power = meter.stop().unwrap().unwrap();
        let expected = Power {
            ane_watts: 2.5,
            ane_watts_peak: 6.0,
            ane_active: 0.75,
            samples: 4,
        };
        assert_eq!(power, expected);
        assert_eq!(
            power.to_string(),
            "the Neural Engine drew 2.50 W on average and 6.00 W at most, and was active in 75 % of 4 samples"
        );
    }

    #[test]
    fn nothing_is_made_up_where_nothing_was_measured() {
        let (meter, _waiting) = measured(&[]);
        assert_eq!(meter.stop().unwrap(), None);
        let (meter, _waiting) = measured(&[Ok(0.0), Ok(0.0)]);
        let e = meter.stop().unwrap_err();
        assert!(matches!(e, PowerError::Nothing { samples: 2 }), "{e}");
    }

    #[test]
    fn a_failure_costs_the_numbers_and_says_why() {
        for (last, word) in [
            (Err("no such channel"), "no such channel"),
            (Ok(f64::NAN), "NaN W"),
            (Ok(-1.0), "-1 W"),
        ] {
            let (meter, _waiting) = measured(&[Ok(3.0), last]);
            let e = ended(meter).stop().unwrap_err().to_string();
            assert!(e.contains("was not measured") && e.contains(word), "{e}");
        }
        let meter = PowerMeter::of(|| Err("no IOReport".to_owned()));
        let e = ended(meter).stop().unwrap_err().to_string();
        assert!(e.contains("no IOReport"), "{e}");
    }

    #[test]
    fn a_source_that_panics_ends_its_own_thread_only() {
        let (meter, waiting) = measured(&[Ok(3.0)]);
        drop(waiting);
        let e = ended(meter).stop().unwrap_err();
        assert!(matches!(e, PowerError::Panicked), "{e}");
    }

    #[test]
    fn measuring_starts_and_stops_on_every_system() {
        if let Ok(measured) = PowerMeter::start().stop() {
            assert_eq!(measured, None, "there was no time for a sample");
        }
    }
}
