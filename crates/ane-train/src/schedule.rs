//! Learning-rate schedules, as functions of the step.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

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
        warmup: 0.05,
        floor: 0.01,
    };

    /// Learning rate at `step` of `total`, for the peak `peak`.
    pub fn at(&self, step: u64, total: u64, peak: f64) -> f64 {
        let (step, total) = (step as f64, total.max(1) as f64);
        match *self {
            Self::Constant => peak,
            Self::Cosine { warmup, floor } => {
                let rise = (warmup * total).round();
                if step < rise {
                    return peak * (step + 1.0) / rise;
                }
                let progress = ((step - rise) / (total - rise).max(1.0)).min(1.0);
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
                peak * (floor + (1.0 - floor) * cosine)
            }
            Self::Step { every, gamma } => {
                let falls = (step / (every * total).max(1.0)).floor();
                peak * gamma.powf(falls)
            }
        }
    }
}

/// A schedule that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no schedule is called `{0}`; there are constant, cosine and step")]
pub struct ParseScheduleError(String);

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(name: &str) -> Result<Self, ParseScheduleError> {
        match name {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::COSINE),
            "step" => Ok(Self::Step {
                every: 1.0 / 3.0,
                gamma: 0.1,
            }),
            _ => Err(ParseScheduleError(name.to_owned())),
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
    }
}
