//! Learning-rate schedules, as functions of the step.

use serde::{Deserialize, Serialize};
use std::{f64::consts::PI, str::FromStr};

/// Share of the run over which a learning rate rises by default.
const WARMUP: f64 = 0.05;
/// Share of the peak at the end by default.
const FLOOR: f64 = 0.01;

/// How the learning rate moves. The step counts optimizer steps from 0, skipped ones included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    /// Stays.
    Constant,
    /// Rises linearly over `warmup` of the run, then falls along half a cosine to `floor` times the peak.
    Cosine {
        /// Share of all steps, 0 to 1.
        warmup: f64,
        /// Share of the peak at the end.
        floor: f64,
    },
    /// Rises linearly over `warmup` of the run, then falls along a line to `floor` times the peak.
    Linear {
        /// Share of all steps, 0 to 1.
        warmup: f64,
        /// Share of the peak at the end; with 1 it stays after the rise.
        floor: f64,
    },
    /// Rises linearly over `warmup` of the run, then falls by the same factor each step to `floor` times the peak.
    Exponential {
        /// Share of all steps, 0 to 1.
        warmup: f64,
        /// Share of the peak at the end, above 0.
        floor: f64,
    },
    /// Rises along half a cosine from 1/25 of the peak over `warmup` of the run, then falls along another to 1/250,000 of it
    /// (PyTorch's `OneCycleLR` with its defaults, there `pct_start`).
    OneCycle {
        /// Share of all steps, 0 to 1.
        warmup: f64,
    },
    /// Falls by `gamma` after every `every` of the run (PyTorch's `StepLR`, in shares of the run).
    Step {
        /// Share of all steps between falls.
        every: f64,
        /// Factor of each fall.
        gamma: f64,
    },
}

impl Schedule {
    /// Default of the `cosine` schedule.
    pub const COSINE: Self = Self::Cosine {
        warmup: WARMUP,
        floor: FLOOR,
    };

    /// Names of all.
    pub const NAMES: [&'static str; 6] = [
        "constant",
        "cosine",
        "linear",
        "exponential",
        "one-cycle",
        "step",
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let [constant, cosine, linear, exponential, one_cycle, step] = Self::NAMES;
        match self {
            Self::Constant => constant,
            Self::Cosine { .. } => cosine,
            Self::Linear { .. } => linear,
            Self::Exponential { .. } => exponential,
            Self::OneCycle { .. } => one_cycle,
            Self::Step { .. } => step,
        }
    }

    /// The same with a rise over this share of the run; none where it has no rise.
    pub fn with_warmup(self, warmup: f64) -> Option<Self> {
        match self {
            Self::Constant => Some(Self::Linear { warmup, floor: 1.0 }),
            Self::Cosine { floor, .. } => Some(Self::Cosine { warmup, floor }),
            Self::Linear { floor, .. } => Some(Self::Linear { warmup, floor }),
            Self::Exponential { floor, .. } => Some(Self::Exponential { warmup, floor }),
            Self::OneCycle { .. } => Some(Self::OneCycle { warmup }),
            Self::Step { .. } => None,
        }
    }

    /// The same with this share of the peak at its end; none where that is not its own to choose.
    pub fn with_floor(self, floor: f64) -> Option<Self> {
        match self {
            Self::Cosine { warmup, .. } => Some(Self::Cosine { warmup, floor }),
            Self::Linear { warmup, .. } => Some(Self::Linear { warmup, floor }),
            Self::Exponential { warmup, .. } => Some(Self::Exponential { warmup, floor }),
            Self::Constant | Self::OneCycle { .. } | Self::Step { .. } => None,
        }
    }

    /// Learning rate at `step` of `total`, for the peak `peak`.
    pub fn at(&self, step: u64, total: u64, peak: f64) -> f64 {
        let (step, total) = (step as f64, total.max(1) as f64);
        match *self {
            Self::Constant => peak,
            Self::Cosine { warmup, floor } => {
                peak * rise_and_fall(step, total, warmup, |x| {
                    let cosine = 0.5 * (1.0 + (PI * x).cos());
                    floor + (1.0 - floor) * cosine
                })
            }
            Self::Linear { warmup, floor } => {
                peak * rise_and_fall(step, total, warmup, |x| 1.0 + (floor - 1.0) * x)
            }
            Self::Exponential { warmup, floor } => {
                peak * rise_and_fall(step, total, warmup, |x| floor.powf(x))
            }
            Self::OneCycle { warmup } => {
                let (start, end) = (1.0 / 25.0, 1.0 / 250_000.0);
                let top = warmup * total - 1.0;
                let cosine = |from: f64, to: f64, x: f64| {
                    to + (from - to) * 0.5 * (1.0 + (PI * x.clamp(0.0, 1.0)).cos())
                };
                peak * if step <= top {
                    cosine(start, 1.0, step / top.max(1.0))
                } else {
                    cosine(1.0, end, (step - top) / (total - 1.0 - top).max(1.0))
                }
            }
            Self::Step { every, gamma } => {
                let falls = (step / (every * total).max(1.0)).floor();
                peak * gamma.powf(falls)
            }
        }
    }
}

/// The share of the peak at a step: a line up over `warmup` of all steps, then what `fall` has at the share of the rest that
/// has passed.
fn rise_and_fall(step: f64, total: f64, warmup: f64, fall: impl Fn(f64) -> f64) -> f64 {
    let rise = (warmup * total).round();
    if step < rise {
        return (step + 1.0) / rise;
    }
    fall(((step - rise) / (total - rise).max(1.0)).min(1.0))
}

/// A schedule that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no schedule is called `{name}`; there are {}", Schedule::NAMES.join(", "))]
pub struct ParseScheduleError {
    name: String,
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(name: &str) -> Result<Self, ParseScheduleError> {
        match name {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::COSINE),
            "linear" => Ok(Self::Linear {
                warmup: WARMUP,
                floor: FLOOR,
            }),
            "exponential" => Ok(Self::Exponential {
                warmup: WARMUP,
                floor: FLOOR,
            }),
            "one-cycle" => Ok(Self::OneCycle { warmup: 0.3 }),
            "step" => Ok(Self::Step {
                every: 1.0 / 3.0,
                gamma: 0.1,
            }),
            _ => Err(ParseScheduleError {
                name: name.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_have_the_rates_of_their_formulas() {
        let cosine = Schedule::Cosine {
            warmup: 0.1,
            floor: 0.0,
        };
        assert_eq!(cosine.at(0, 100, 1.0), 0.1);
        assert_eq!(cosine.at(9, 100, 1.0), 1.0);
        assert!((cosine.at(55, 100, 1.0) - 0.5).abs() < 1e-12);
        assert!(cosine.at(100, 100, 1.0).abs() < 1e-12);
        let step = Schedule::Step {
            every: 0.5,
            gamma: 0.1,
        };
        assert_eq!(step.at(49, 100, 2.0), 2.0);
        assert!((step.at(50, 100, 2.0) - 0.2).abs() < 1e-12);
        assert_eq!(Schedule::Constant.at(7, 100, 3.0), 3.0);
        let linear = Schedule::Linear {
            warmup: 0.1,
            floor: 0.1,
        };
        for (t, rate) in [(4, 0.5), (10, 1.0), (55, 0.55), (100, 0.1)] {
            assert!((linear.at(t, 100, 1.0) - rate).abs() < 1e-12, "{t}");
        }
        let exponential = Schedule::Exponential {
            warmup: 0.0,
            floor: 0.01,
        };
        assert!((exponential.at(50, 100, 1.0) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(SGD(lr=…), max_lr=0.5, total_steps=20), at these steps.
        let found = [0, 3, 5, 10, 19].map(|t| Schedule::OneCycle { warmup: 0.3 }.at(t, 20, 0.5));
        let wanted = [0.02, 0.334_164_08, 0.5, 0.358_471_5, 2e-6];
        for (f, w) in found.iter().zip(wanted) {
            assert!((f - w).abs() < 1e-7, "{found:?}");
        }
    }

    #[test]
    fn every_name_is_a_schedule_and_its_own_name() {
        for name in Schedule::NAMES {
            assert_eq!(name.parse::<Schedule>().unwrap().name(), name);
        }
        let error = "cosin".parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains("one-cycle"), "{error}");
    }
}
