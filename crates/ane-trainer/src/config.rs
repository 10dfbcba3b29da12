//! The configuration of a run: flags over defaults, or over a checkpoint's.

use crate::failure::Failure;
use ane_device::{AppleOptions, Settings};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Numerics, Route, Target};
use ane_train::{
    TrainerConfig,
    data::Dataset,
    loss::Loss,
    nn::Sequential,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};

/// Everything that decides a run's numbers. Stored in `config.json` and in every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunConfig {
    pub(crate) dataset: String,
    /// Whether the mean of the pixels is taken off. Configurations that do not say so are of runs that did.
    #[serde(default = "always")]
    pub(crate) centred: bool,
    pub(crate) model: String,
    pub(crate) loss: Loss,
    pub(crate) batch: usize,
    pub(crate) epochs: u64,
    pub(crate) optimizer: OptimizerConfig,
    pub(crate) lr: f64,
    pub(crate) schedule: Schedule,
    pub(crate) max_norm: Option<f64>,
    pub(crate) seed: u64,
    pub(crate) device: String,
    pub(crate) target: String,
    /// Whether the user has named the chip, so that it is compiled for even if it does not seem to be this machine's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) chip_is_named: bool,
    pub(crate) plan: PlanKind,
    pub(crate) numerics: NumericsKind,
    /// Whether the run may only be made on Apple's engine.
    #[serde(default)]
    pub(crate) require_ane: bool,
    /// Whether all training examples are trained on and only `last` is kept.
    #[serde(rename = "final")]
    pub(crate) whole: bool,
}

fn always() -> bool {
    true
}

/// A numeric policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NumericsKind {
    /// The target's known cliffs, IEEE otherwise
    Ieee,
    /// Subnormals flushed and running sums in fp16 besides
    Pessimistic,
    /// The target's known cliffs and the non-finite rules of silicon
    Silicon,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            dataset: "mnist".into(),
            centred: false,
            model: "784-512-512-10".into(),
            loss: Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            batch: 128,
            epochs: 6,
            optimizer: OptimizerConfig::AdamW(AdamW {
                weight_decay: WEIGHT_DECAY,
                ..AdamW::default()
            }),
            lr: 1.5e-3,
            schedule: Schedule::COSINE,
            max_norm: None,
            seed: 0,
            device: "auto".into(),
            target: "software".into(),
            chip_is_named: false,
            plan: PlanKind::Split,
            numerics: NumericsKind::Ieee,
            require_ane: false,
            whole: false,
        }
    }
}

/// Weight decay of the default run: weights forget with a time constant of 1/(lr·weight_decay) = 1,333 steps at the peak
/// rate, about half the run. PyTorch's 0.01 would take 26 runs, and images would be learnt by heart instead.
const WEIGHT_DECAY: f64 = 0.5;

/// The device that is Apple's engine.
pub(crate) const APPLE: &str = "apple";

/// Examples of the training set that choose `best`.
pub(crate) const VALIDATION: usize = 5_000;

impl RunConfig {
    /// The target.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        self.target.parse().map_err(|e: ane_ir::ParseTargetError| {
            Failure::usage(e.to_string(), "see `ane-trainer devices`")
        })
    }

    /// Settles the target: the one that the user has named, or the chip of this machine for a device that is a chip and
    /// was given none, and `route` to it.
    pub(crate) fn settle_target(
        &mut self,
        named: Option<&str>,
        route: Option<Route>,
    ) -> Result<(), Failure> {
        if let Some(named) = named {
            self.target = named.to_owned();
        }
        let mut target = self.target()?;
        self.chip_is_named |= named.is_some() && target.is_chip() && self.device == APPLE;
        if self.device == APPLE && !target.is_chip() {
            let found = ane_device::detect();
            if let Some(warning) = &found.warning {
                eprintln!("warning: {warning}");
            }
            target.chip = found.chip;
        }
        if let Some(route) = route {
            if !target.is_chip() {
                return Err(Failure::usage(
                    format!("--route {route} leads to a chip, the target is {target}"),
                    "add --target h16 or another chip, or --device apple",
                ));
            }
            target.route = route;
        }
        self.target = target.to_string();
        Ok(())
    }

    /// The model.
    pub(crate) fn model(&self) -> Result<Sequential, Failure> {
        self.model
            .parse()
            .map_err(|e: ane_train::nn::ParseSpecError| {
                Failure::usage(e.to_string(), "see --model in `ane-trainer train --help`")
            })
    }

    /// The examples as the model is to see them.
    pub(crate) fn examples(&self, found: Dataset) -> Arc<Dataset> {
        Arc::new(if self.centred {
            found
        } else {
            found.not_centred()
        })
    }

    /// The numeric policy on the target.
    pub(crate) fn numerics(&self) -> Result<Numerics, Failure> {
        let base = Numerics::of(&self.target()?);
        Ok(match self.numerics {
            NumericsKind::Ieee => base,
            NumericsKind::Pessimistic => base.pessimistic(),
            NumericsKind::Silicon => base.silicon(),
        })
    }

    /// What the trainer is made of, for a run of `total_steps`.
    pub(crate) fn trainer(&self, total_steps: u64) -> Result<TrainerConfig, Failure> {
        Ok(TrainerConfig {
            model: self.model()?,
            loss: self.loss,
            batch: self.batch,
            plan: self.plan,
            optimizer: self.optimizer.clone(),
            lr: self.lr,
            schedule: self.schedule,
            total_steps,
            max_norm: self.max_norm,
            seed: self.seed,
        })
    }

    /// What the device is opened with.
    pub(crate) fn settings(&self, pool: &Arc<Pool>, isa: Isa) -> Result<Settings, Failure> {
        Ok(Settings {
            target: self.target()?,
            numerics: self.numerics()?,
            isa,
            pool: Some(pool.clone()),
            apple: AppleOptions {
                chip_is_named: self.chip_is_named,
                ..AppleOptions::default()
            },
        })
    }

    /// Warnings that the engine of a run is not Apple's.
    pub(crate) fn replaced(&self) -> Vec<String> {
        if self.device != APPLE {
            return Vec::new();
        }
        let warning = |(variable, path): (&str, &Path)| {
            format!(
                "not Apple's engine: {variable} is set and replaces Apple's framework by `{}`",
                path.display()
            )
        };
        let options = AppleOptions::default();
        options.replaced().into_iter().map(warning).collect()
    }

    /// What another configuration has otherwise, a line per field.
    pub(crate) fn diff(&self, other: &Self) -> Vec<String> {
        let fields = |c: &Self| serde_json::to_value(c).unwrap_or_default();
        let (mine, theirs) = (fields(self), fields(other));
        let Some(all) = mine.as_object() else {
            return Vec::new();
        };
        all.iter()
            // The checkpoint's word holds; naming its own target again is no other run.
            .filter(|(name, _)| *name != "chip_is_named")
            .filter(|(name, value)| theirs.get(name.as_str()) != Some(value))
            .map(|(name, value)| {
                let asked = theirs.get(name.as_str()).cloned().unwrap_or_default();
                format!("  {name}: the checkpoint has {value}, the arguments say {asked}")
            })
            .collect()
    }
}

/// Threads and instruction set of this process.
pub(crate) fn machine(threads: Option<usize>) -> Result<(Arc<Pool>, Isa), Failure> {
    let isa = match std::env::var("ANE_TRAINER_ISA") {
        Ok(name) => name.parse::<Isa>().map_err(|e| {
            Failure::usage(
                e.to_string(),
                "unset ANE_TRAINER_ISA, or set it to one of these",
            )
        })?,
        Err(_) => Isa::detect(),
    };
    let threads = match threads {
        Some(0) => {
            return Err(Failure::usage(
                "--threads must be at least 1, found 0",
                "leave it out to use every core",
            ));
        }
        Some(n) => n,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let pool = Pool::new(threads).map_err(|e| {
        Failure::new(
            format!("cannot start {threads} threads: {e}"),
            "pass a smaller --threads",
        )
    })?;
    Ok((Arc::new(pool), isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_from_before_the_choice_are_of_centred_pixels() {
        let mut stored = serde_json::to_value(RunConfig::default()).unwrap();
        assert_eq!(
            stored.as_object_mut().unwrap().remove("centred"),
            Some(false.into())
        );
        let config: RunConfig = serde_json::from_value(stored).unwrap();
        assert!(config.centred);
    }

    #[test]
    fn black_stays_zero_unless_pixels_are_centred() {
        let spec = ane_train::data::catalog::find("mnist").unwrap();
        let found = Dataset {
            name: spec.name,
            split: ane_train::data::Split::Train,
            class_names: spec.class_names,
            classes: spec.classes(),
            example_shape: spec.example_shape,
            example_len: spec.example_len(),
            images: Vec::new(),
            labels: Vec::new(),
            mean: spec.normalisation.mean,
            std: spec.normalisation.std,
        };
        let mut config = RunConfig::default();
        let seen = config.examples(found.clone());
        assert_eq!((seen.mean, seen.std), (0.0, found.std));
        config.centred = true;
        assert_eq!(*config.examples(found.clone()), found);
    }
}
