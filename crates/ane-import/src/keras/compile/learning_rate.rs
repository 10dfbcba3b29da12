//! Learning rates of Keras's, as functions of the update, and as schedules of ours where there is one.

use crate::keras::{
    KerasError,
    network::serialized,
    settings::{Settings, number, wrong},
};
use ane_train::schedule::Schedule;
use serde_json::Value as Json;

/// A learning rate of Keras's.
#[derive(Debug, Clone, PartialEq)]
pub enum LearningRate {
    /// Stays.
    Constant(f64),
    /// `CosineDecay`: rises from `initial` to `warmup_target`, where there is one, and falls along half a cosine.
    Cosine {
        /// The rate of update 0.
        initial: f64,
        /// Updates of the fall.
        decay_steps: f64,
        /// Share of the peak at the end.
        alpha: f64,
        /// The peak and how many updates lead to it.
        warmup: Option<(f64, f64)>,
    },
    /// `ExponentialDecay`: falls by `decay_rate` in `decay_steps` updates.
    Exponential {
        /// The rate of update 0.
        initial: f64,
        /// Updates of one fall.
        decay_steps: f64,
        /// Factor of one fall.
        decay_rate: f64,
        /// Whether it falls at once.
        staircase: bool,
    },
    /// `PolynomialDecay`: moves from `initial` to `end` in `decay_steps` updates.
    Polynomial {
        /// The rate of update 0.
        initial: f64,
        /// Updates of the fall.
        decay_steps: f64,
        /// The rate after them.
        end: f64,
        /// Exponent of what is left.
        power: f64,
    },
    /// `PiecewiseConstantDecay`: the first value up to and with the first boundary, and so on.
    Piecewise {
        /// Last updates of all values but the last.
        boundaries: Vec<f64>,
        /// The rates.
        values: Vec<f64>,
    },
}

impl LearningRate {
    /// Reads a number or a serialised schedule.
    pub(super) fn read(json: &Json) -> Result<Self, KerasError> {
        if json.is_number() {
            return Ok(Self::Constant(number("learning_rate", json)?));
        }
        let (module, class, config) = serialized(json)?;
        let s = Settings::new(config);
        let initial = s.number("initial_learning_rate", 0.0)?;
        let steps = || -> Result<f64, KerasError> { Ok(s.size("decay_steps")? as f64) };
        if !module.starts_with("keras") {
            return Err(unsupported(class));
        }
        Ok(match class {
            "CosineDecay" => Self::Cosine {
                initial,
                decay_steps: steps()?,
                alpha: s.number("alpha", 0.0)?,
                warmup: match s.optional_number("warmup_target")? {
                    None => None,
                    Some(target) => Some((target, s.number("warmup_steps", 0.0)?.max(0.0))),
                },
            },
            "ExponentialDecay" => Self::Exponential {
                initial,
                decay_steps: steps()?,
                decay_rate: s.number("decay_rate", 1.0)?,
                staircase: s.flag("staircase", false)?,
            },
            "PolynomialDecay" if !s.flag("cycle", false)? => Self::Polynomial {
                initial,
                decay_steps: steps()?,
                end: s.number("end_learning_rate", 1e-4)?,
                power: s.number("power", 1.0)?,
            },
            "PiecewiseConstantDecay" => {
                let boundaries = s.numbers("boundaries")?.unwrap_or_default();
                let values = s.numbers("values")?.unwrap_or_default();
                if values.len() != boundaries.len() + 1 || !boundaries.is_sorted() {
                    let found = format!("{boundaries:?} and {values:?}");
                    return Err(wrong("boundaries", "in order, one less than values", found));
                }
                Self::Piecewise { boundaries, values }
            }
            _ => return Err(unsupported(class)),
        })
    }

    /// What Keras calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant(_) => "constant",
            Self::Cosine { .. } => "CosineDecay",
            Self::Exponential { .. } => "ExponentialDecay",
            Self::Polynomial { .. } => "PolynomialDecay",
            Self::Piecewise { .. } => "PiecewiseConstantDecay",
        }
    }

    /// The rate of an update, counted from 0.
    pub fn at(&self, update: u64) -> f64 {
        let update = update as f64;
        match self {
            Self::Constant(rate) => *rate,
            Self::Cosine {
                initial,
                decay_steps,
                alpha,
                warmup,
            } => {
                let (peak, rise) = warmup.unwrap_or((*initial, 0.0));
                if update < rise {
                    return initial + (peak - initial) * update / rise;
                }
                let share = ((update - rise) / decay_steps).min(1.0);
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
                peak * ((1.0 - alpha) * cosine + alpha)
            }
            Self::Exponential {
                initial,
                decay_steps,
                decay_rate,
                staircase,
            } => {
                let falls = update / decay_steps;
                let falls = if *staircase { falls.floor() } else { falls };
                initial * decay_rate.powf(falls)
            }
            Self::Polynomial {
                initial,
                decay_steps,
                end,
                power,
            } => {
                let share = (update / decay_steps).min(1.0);
                (initial - end) * (1.0 - share).powf(*power) + end
            }
            Self::Piecewise { boundaries, values } => {
                let passed = boundaries.iter().filter(|&&b| update > b).count();
                values[passed]
            }
        }
    }

    /// The peak and the schedule of a run of `total` updates that has these rates, where we have one: a constant, a cosine
    /// that ends with the run, or falls at once at even distances.
    pub fn schedule(&self, total: u64) -> Option<(f64, Schedule)> {
        let all = total as f64;
        match self {
            Self::Constant(rate) => Some((*rate, Schedule::Constant)),
            Self::Cosine {
                initial,
                decay_steps,
                alpha,
                warmup: None,
            } if *decay_steps == all => Some((
                *initial,
                Schedule::Cosine {
                    warmup: 0.0,
                    floor: *alpha,
                },
            )),
            Self::Exponential {
                initial,
                decay_steps,
                decay_rate,
                staircase: true,
            } if all > 0.0 => Some((
                *initial,
                Schedule::Step {
                    every: decay_steps / all,
                    gamma: *decay_rate,
                },
            )),
            _ => None,
        }
    }
}

fn unsupported(class: &str) -> KerasError {
    KerasError::unsupported(
        format!("the learning rate `{class}`"),
        "use a number, CosineDecay, ExponentialDecay, PolynomialDecay without cycles, or PiecewiseConstantDecay",
    )
}
