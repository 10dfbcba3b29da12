//! The numbers that a configuration may have, whoever wrote it: flags, or a checkpoint that anyone can make.

use super::{ConfigError, RunConfig};
use crate::{loss::Loss, optim::OptimizerConfig, schedule::Schedule};
use std::fmt::Display;

/// Most epochs of a run.
pub const MOST_EPOCHS: u64 = 100_000;
/// Most examples of a step.
pub const LARGEST_BATCH: u64 = 16_384;

/// Most batches whose gradients make an update.
pub const MOST_BATCHES: u64 = 65_536;

/// A number and what is asked of it.
struct Setting {
    name: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
}

impl Setting {
    fn new(name: &'static str, value: f64, expected: &'static str, holds: fn(f64) -> bool) -> Self {
        Self {
            name,
            value,
            holds: value.is_finite() && holds(value),
            expected,
        }
    }

    fn positive(name: &'static str, value: f64) -> Self {
        Self::new(name, value, "a number above 0", |x| x > 0.0)
    }

    fn not_negative(name: &'static str, value: f64) -> Self {
        Self::new(name, value, "a number of at least 0", |x| x >= 0.0)
    }

    /// Less than the whole.
    fn part(name: &'static str, value: f64) -> Self {
        Self::new(name, value, "a number from 0 up to 1", |x| {
            (0.0..1.0).contains(&x)
        })
    }

    fn share(name: &'static str, value: f64) -> Self {
        Self::new(name, value, "a number from 0 to 1", |x| {
            (0.0..=1.0).contains(&x)
        })
    }
}

impl RunConfig {
    /// Whether every number is one that a run can have.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] with the first that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        whole("batch", self.batch as u64, LARGEST_BATCH)?;
        whole("epochs", self.epochs, MOST_EPOCHS)?;
        whole("accumulate", self.accumulate as u64, MOST_BATCHES)?;
        whole("max_steps", self.max_steps.unwrap_or(1), u64::MAX)?;
        whole("patience", self.patience.unwrap_or(1), MOST_EPOCHS)?;
        whole(
            "overfit_batches",
            self.overfit_batches.unwrap_or(1) as u64,
            MOST_BATCHES,
        )?;
        let mut settings = vec![Setting::positive("lr", self.lr)];
        settings.extend(self.max_norm.map(|x| Setting::positive("max_norm", x)));
        settings.extend(self.ema.map(|x| Setting::part("ema", x)));
        match self.loss {
            Loss::CrossEntropy { label_smoothing } => {
                settings.push(Setting::part("label_smoothing", label_smoothing));
            }
            Loss::Huber { delta } => settings.push(Setting::positive("delta", delta)),
            Loss::Mse | Loss::L1 | Loss::BceWithLogits => {}
        }
        match self.schedule {
            Schedule::Constant => {}
            Schedule::Cosine { warmup, floor } | Schedule::Linear { warmup, floor } => {
                settings.push(Setting::share("warmup", warmup));
                settings.push(Setting::share("floor", floor));
            }
            Schedule::Exponential { warmup, floor } => {
                settings.push(Setting::share("warmup", warmup));
                settings.push(Setting::share("floor", floor));
                settings.push(Setting::positive("floor", floor));
            }
            Schedule::OneCycle { warmup } => settings.push(Setting::share("warmup", warmup)),
            Schedule::Step { every, gamma } => {
                settings.push(Setting::positive("every", every));
                settings.push(Setting::positive("gamma", gamma));
            }
        }
        let (betas, eps, weight_decay) = match &self.optimizer {
            OptimizerConfig::Adam(o) => (Some(o.betas), Some(o.eps), o.weight_decay),
            OptimizerConfig::AdamW(o) => (Some(o.betas), Some(o.eps), o.weight_decay),
            OptimizerConfig::Sgd(o) => {
                settings.push(Setting::part("momentum", o.momentum));
                (None, None, o.weight_decay)
            }
        };
        settings.push(Setting::not_negative("weight_decay", weight_decay));
        settings.extend(eps.map(|x| Setting::positive("eps", x)));
        for beta in betas.into_iter().flat_map(|(a, b)| [a, b]) {
            settings.push(Setting::part("betas", beta));
        }
        match settings.into_iter().find(|s| !s.holds) {
            None => Ok(()),
            Some(s) => Err(out_of_range(s.name, s.expected, s.value)),
        }
    }
}

fn whole(name: &'static str, value: u64, most: u64) -> Result<(), ConfigError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(out_of_range(
        name,
        format!("a number from 1 to {most}"),
        value,
    ))
}

fn out_of_range(
    name: &'static str,
    expected: impl Into<String>,
    found: impl Display,
) -> ConfigError {
    ConfigError::OutOfRange {
        name,
        expected: expected.into(),
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The default configuration with one value of it replaced, as it is stored.
    fn with(at: &str, value: serde_json::Value, optimizer: &str) -> RunConfig {
        let optimizer = OptimizerConfig::named(optimizer).unwrap();
        let base = RunConfig {
            optimizer,
            max_norm: Some(1.0),
            max_steps: Some(1),
            ..RunConfig::default()
        };
        base.check().unwrap();
        let mut stored = serde_json::to_value(base).unwrap();
        *stored.pointer_mut(at).unwrap() = value;
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn numbers_that_no_run_has_are_named_with_what_was_expected() {
        for (at, value, optimizer, part) in [
            ("/batch", json!(0), "adamw", "1 to 16384, found 0"),
            ("/batch", json!(1_u64 << 60), "adamw", "1152921504606846976"),
            ("/epochs", json!(0), "adamw", "1 to 100000, found 0"),
            ("/epochs", json!(u64::MAX), "adamw", "`epochs`"),
            ("/max_steps", json!(0), "adamw", "`max_steps`"),
            ("/lr", json!(-0.1), "adamw", "above 0, found -0.1"),
            ("/lr", json!(0.0), "sgd", "`lr`"),
            ("/max_norm", json!(-1.0), "adamw", "`max_norm`"),
            (
                "/loss/label_smoothing",
                json!(1.0),
                "adamw",
                "up to 1, found 1",
            ),
            (
                "/loss",
                json!({"kind": "huber", "delta": 0.0}),
                "adamw",
                "`delta`",
            ),
            ("/schedule/warmup", json!(2.0), "adamw", "`warmup`"),
            ("/schedule/floor", json!(-1.0), "adamw", "`floor`"),
            (
                "/optimizer/weight_decay",
                json!(-0.1),
                "adamw",
                "at least 0",
            ),
            ("/optimizer/betas/1", json!(1.0), "adam", "`betas`"),
            ("/optimizer/eps", json!(0.0), "adam", "`eps`"),
            ("/optimizer/momentum", json!(1.0), "sgd", "`momentum`"),
        ] {
            let said = with(at, value, optimizer).check().unwrap_err().to_string();
            assert!(said.contains(part), "{at}: {said}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_none_that_a_run_has() {
        for lr in [f64::NAN, f64::INFINITY] {
            let config = RunConfig {
                lr,
                ..RunConfig::default()
            };
            assert!(config.check().is_err(), "{lr}");
        }
    }
}
