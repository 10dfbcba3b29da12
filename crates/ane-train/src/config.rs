//! The configuration of a run: everything that decides its numbers.

mod bounds;
mod metadata;

pub use bounds::{LARGEST_BATCH, MOST_BATCHES, MOST_EPOCHS};

use crate::{
    TrainerConfig,
    checkpoint::Record,
    data::{Augmentation, DataSettings, Description, Holdout, IMAGE, LABEL, TARGET},
    loss::Loss,
    lowering::LoweringRule,
    metric::{self, Metric, UnknownMetric},
    model::ModelError,
    models::{Examples, Imported, ModelSpec, ParseSpecError, Task},
    objective::Objective,
    optim::{AdamW, OptimizerConfig},
    schedule::Schedule,
    step::PlanKind,
    update::{Groups, is_tag, names},
};
use ane_device::{AppleOptions, Settings};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Numerics, ParseTargetError, Route, Target};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, path::Path, str::FromStr, sync::Arc};

/// Everything that decides a run's numbers. Stored in `config.json` and in every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Name of the data set, or the path of one's own.
    pub dataset: String,
    /// How one's own data is read.
    #[serde(default, skip_serializing_if = "DataSettings::is_default")]
    pub data: DataSettings,
    /// What is done to the images that are trained on.
    #[serde(default, skip_serializing_if = "Augmentation::is_empty")]
    pub augment: Augmentation,
    /// Whether the mean of the pixels is taken off. Configurations that do not say so are of runs that did.
    #[serde(default = "always")]
    pub centred: bool,
    /// The model, as a spec.
    pub model: String,
    /// What builds it, if the spec names a file; its run directory has what it needs.
    #[serde(skip)]
    pub imported: Option<Imported>,
    /// What is minimised.
    pub loss: Loss,
    /// Examples per step.
    pub batch: usize,
    /// Passes over the training examples.
    pub epochs: u64,
    /// Who updates.
    pub optimizer: OptimizerConfig,
    /// Peak learning rate.
    pub lr: f64,
    /// How it moves.
    pub schedule: Schedule,
    /// Largest global norm of the gradients, if clipped.
    pub max_norm: Option<f64>,
    /// Batches whose gradients make an update.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// How the run was given more epochs, steps or patience than it began with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<Extension>,
    /// The weights that it began with, where they were those of another run or file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Steps after which the run ends, if that is before its last epoch does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Epochs without a better validation result after which the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Decay of the moving average of the weights, by which the run is judged, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// The first batches of the training examples, which are all that is trained on, chosen by and judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overfit_batches: Option<usize>,
    /// Parameters that are not trained: patterns of their paths, or tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Parameters with settings of their own.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub groups: Groups,
    /// How convolutions are lowered where that is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lowerings: Vec<LoweringRule>,
    /// The metric that chooses `best`, if not the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Training examples that choose `best`.
    #[serde(default = "validation")]
    pub validation: Holdout,
    /// Seed of weights, order and validation split.
    pub seed: u64,
    /// Name of the device.
    pub device: String,
    /// Whose limits and quirks hold.
    #[serde(serialize_with = "by_name", deserialize_with = "from_name")]
    pub target: Target,
    /// Whether the user has named the chip, so that it is compiled for even if it does not seem to be this machine's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chip_is_named: bool,
    /// Where the update runs.
    pub plan: PlanKind,
    /// The numeric policy.
    pub numerics: NumericsKind,
    /// Whether the run may only be made on Apple's engine.
    #[serde(default)]
    pub require_ane: bool,
    /// Whether all training examples are trained on and only `last` is kept.
    #[serde(rename = "final")]
    pub whole: bool,
}

/// More epochs, steps or patience for a run that had less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Steps that had been taken.
    pub step: u64,
    /// Epochs that it had until then.
    pub epochs: u64,
    /// Steps after which it was to end until then, where it was given more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Epochs that it was to wait for a better result until then, where it was given more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Epochs that it had had when it began to wait anew, where it had waited long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<u64>,
}

fn always() -> bool {
    true
}

fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

fn validation() -> Holdout {
    Holdout::Count(VALIDATION)
}

fn by_name<T: fmt::Display, S: Serializer>(x: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(x)
}

fn from_name<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A numeric policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumericsKind {
    /// The target's known cliffs, IEEE otherwise.
    Ieee,
    /// Subnormals flushed and running sums in fp16 besides.
    Pessimistic,
    /// The target's known cliffs and the non-finite rules of silicon.
    Silicon,
}

impl NumericsKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ieee => "ieee",
            Self::Pessimistic => "pessimistic",
            Self::Silicon => "silicon",
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            dataset: "mnist".into(),
            data: DataSettings::default(),
            augment: Augmentation::default(),
            centred: false,
            model: "mlp".into(),
            imported: None,
            loss: Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            batch: 128,
            epochs: 6,
            optimizer: OptimizerConfig::AdamW(AdamW::default()),
            lr: OptimizerConfig::AdamW(AdamW::default()).default_lr(),
            schedule: Schedule::COSINE,
            max_norm: None,
            accumulate: 1,
            extended: Vec::new(),
            from: None,
            max_steps: None,
            patience: None,
            ema: None,
            overfit_batches: None,
            freeze: Vec::new(),
            groups: Groups::default(),
            lowerings: Vec::new(),
            metric: None,
            validation: validation(),
            seed: 0,
            device: "auto".into(),
            target: Target::SOFTWARE,
            chip_is_named: false,
            plan: PlanKind::Split,
            numerics: NumericsKind::Ieee,
            require_ane: false,
            whole: false,
        }
    }
}

/// The device that is Apple's engine.
pub const APPLE: &str = "apple";

/// Examples of the training set that choose `best` by default.
const VALIDATION: usize = 5_000;

/// A configuration that contradicts itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such target.
    #[error(transparent)]
    Target(#[from] ParseTargetError),
    /// A route without a chip at its end.
    #[error("--route {route} leads to a chip, the target is {target}")]
    RouteWithoutChip {
        /// The route.
        route: Route,
        /// The target.
        target: Target,
    },
    /// No such model.
    #[error(transparent)]
    Model(#[from] ParseSpecError),
    /// The model cannot be built at this batch size.
    #[error(transparent)]
    Build(#[from] ModelError),
    /// No such metric.
    #[error(transparent)]
    Metric(#[from] UnknownMetric),
    /// A metric that says nothing of what is learned.
    #[error("the metric `{metric}` says nothing of a model that learns {found}")]
    MetricOfAnother {
        /// The metric.
        metric: &'static str,
        /// What is learned.
        found: &'static str,
    },
    /// A pattern of parameters to freeze, or of a group, fits none.
    #[error("`{pattern}` names no parameter; there are {}", .paths.join(", "))]
    NamesNothing {
        /// The pattern.
        pattern: String,
        /// The model's parameters.
        paths: Vec<String>,
    },
    /// A number that no run can have.
    #[error("`{name}` is expected to be {expected}, found {found}")]
    OutOfRange {
        /// The setting, as `config.json` calls it.
        name: &'static str,
        /// What is asked of it.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl ConfigError {
    /// What the user can do.
    pub fn help(&self) -> String {
        let fixed = match self {
            Self::Target(_) => "see `ane-trainer devices`",
            Self::RouteWithoutChip { .. } => "add --target h16 or another chip, or --device apple",
            Self::Model(_) => "see --model in `ane-trainer train --help`",
            Self::OutOfRange { .. } => "see `ane-trainer train --help`",
            Self::Build(ModelError::Layer { .. } | ModelError::Empty { .. }) => {
                "mend the layer that is named, or pass another --model or --batch"
            }
            Self::Build(_) => "pass another --model or --batch",
            Self::Metric(_) => "pass one of them as --metric, or leave it out",
            Self::MetricOfAnother { .. } => {
                "leave --metric out: accuracy is for classes, rmse for numbers"
            }
            Self::NamesNothing { .. } => {
                "a pattern is a path in which * stands for any characters, or one of the tags bias, norm and embedding"
            }
        };
        fixed.to_owned()
    }
}

impl RunConfig {
    /// Settles the target: the one that the user has named, or the chip of this machine for a device that is a chip and
    /// was given none, and `route` to it. Gives a warning where the chip of this machine is a guess.
    ///
    /// # Errors
    /// When the target does not exist, or the route leads to no chip.
    pub fn settle_target(
        &mut self,
        named: Option<&str>,
        route: Option<Route>,
    ) -> Result<Option<String>, ConfigError> {
        if let Some(named) = named {
            self.target = named.parse()?;
        }
        let target = &mut self.target;
        let mut warning = None;
        self.chip_is_named |= named.is_some() && target.is_chip() && self.device == APPLE;
        if self.device == APPLE && !target.is_chip() {
            let found = ane_device::detect();
            warning = found.warning;
            target.chip = found.chip;
        }
        if let Some(route) = route {
            if !target.is_chip() {
                return Err(ConfigError::RouteWithoutChip {
                    route,
                    target: *target,
                });
            }
            target.route = route;
        }
        Ok(warning)
    }

    /// The model.
    ///
    /// # Errors
    /// When the spec cannot be read.
    pub fn model(&self) -> Result<ModelSpec, ConfigError> {
        if let Some(imported) = &self.imported {
            return Ok(ModelSpec::Imported(imported.clone()));
        }
        Ok(self.model.parse()?)
    }

    /// The numeric policy on the target.
    pub fn numerics(&self) -> Numerics {
        let base = Numerics::of(&self.target);
        match self.numerics {
            NumericsKind::Ieee => base,
            NumericsKind::Pessimistic => base.pessimistic(),
            NumericsKind::Silicon => base.silicon(),
        }
    }

    /// The metrics of the run on such examples; the first chooses `best`.
    ///
    /// # Errors
    /// When there is none of this name, or the model's spec cannot be read.
    pub fn metrics(&self, examples: &Examples) -> Result<Vec<&'static dyn Metric>, ConfigError> {
        let name = match &self.metric {
            Some(name) => name,
            None => match self.model()?.task(examples) {
                Task::Classification => "accuracy",
                Task::Regression => "rmse",
                Task::Reconstruction => "mse",
                Task::Language => "perplexity",
            },
        };
        let metric = metric::named(name)?;
        let task = self.model()?.task(examples);
        if !metric.is_for(task) {
            return Err(ConfigError::MetricOfAnother {
                metric: metric.name(),
                found: match task {
                    Task::Classification => "classes",
                    Task::Regression => "numbers",
                    Task::Reconstruction => "the input itself",
                    Task::Language => "the next token",
                },
            });
        }
        Ok(vec![metric])
    }

    /// Steps of the run, for so many batches an epoch.
    pub fn total_steps(&self, batches: usize) -> u64 {
        let steps = (batches.div_ceil(self.accumulate.max(1)) as u64).saturating_mul(self.epochs);
        self.max_steps.map_or(steps, |most| most.min(steps))
    }

    /// Whether a run that has come so far has no epoch and no step left.
    pub fn is_done(&self, record: &Record) -> bool {
        let has_most = self
            .max_steps
            .is_some_and(|most| record.progress.step >= most);
        record.position.0 >= self.epochs || has_most
    }

    /// What the trainer is made of, for a run of `total_steps` on such examples.
    ///
    /// # Errors
    /// When the model's spec cannot be read or built, a pattern freezes nothing, or there is no such metric.
    pub fn trainer(
        &self,
        examples: &Examples,
        total_steps: u64,
    ) -> Result<TrainerConfig, ConfigError> {
        let mut model = self.model()?.build(self.batch, examples)?;
        // A tag may fit nothing: an MLP has no norm to leave out of the decay.
        let groups = self.groups.0.iter().map(|g| &g.parameters);
        let of_groups = groups.filter(|pattern| !is_tag(pattern));
        for pattern in self.freeze.iter().chain(of_groups) {
            if !model.parameters.iter().any(|p| names(pattern, p)) {
                return Err(ConfigError::NamesNothing {
                    pattern: pattern.clone(),
                    paths: model.parameters.into_iter().map(|p| p.path).collect(),
                });
            }
        }
        for p in &mut model.parameters {
            p.trainable &= !self.freeze.iter().any(|pattern| names(pattern, p));
        }
        let outputs = model.train.outputs.iter().map(|(name, _)| name);
        let scores = model.train.head.iter().map(|(name, _)| name);
        let output = outputs.chain(scores).next();
        let output = output.map_or("output", String::as_str);
        let target = match self.model()?.task(examples) {
            Task::Classification | Task::Language => LABEL,
            Task::Regression => TARGET,
            Task::Reconstruction => IMAGE,
        };
        Ok(TrainerConfig {
            objective: Objective::of(self.loss, output, target),
            model,
            metrics: self.metrics(examples)?,
            units: Vec::new(),
            plan: self.plan,
            optimizer: self.optimizer.clone(),
            groups: self.groups.clone(),
            lowerings: self.lowerings.clone(),
            lr: self.lr,
            schedule: self.schedule,
            total_steps,
            max_norm: self.max_norm,
            accumulate: self.accumulate,
            ema: self.ema,
            seed: self.seed,
        })
    }

    /// What the trainer is made of, with metrics in the units of the data; see [`RunConfig::trainer`].
    ///
    /// # Errors
    /// As [`RunConfig::trainer`].
    pub fn trainer_on(
        &self,
        data: &Description,
        total_steps: u64,
    ) -> Result<TrainerConfig, ConfigError> {
        Ok(TrainerConfig {
            units: data.units(),
            ..self.trainer(&data.examples(), total_steps)?
        })
    }

    /// What the device is opened with.
    pub fn settings(&self, pool: &Arc<Pool>, isa: Isa) -> Settings {
        Settings {
            target: self.target,
            numerics: self.numerics(),
            isa,
            pool: Some(pool.clone()),
            apple: AppleOptions {
                chip_is_named: self.chip_is_named,
                ..AppleOptions::default()
            },
        }
    }

    /// Warnings that the engine of a run is not Apple's.
    pub fn replaced(&self) -> Vec<String> {
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
    pub fn diff(&self, other: &Self) -> Vec<String> {
        let fields = |c: &Self| serde_json::to_value(c).unwrap_or_default();
        let (mine, theirs) = (fields(self), fields(other));
        let Some(all) = mine.as_object() else {
            return Vec::new();
        };
        all.iter()
            // The checkpoint's word holds; naming its own target again is no other run, nor is what it began with.
            .filter(|(name, _)| !["chip_is_named", "extended", "from"].contains(&name.as_str()))
            .filter(|(name, value)| theirs.get(name.as_str()) != Some(value))
            .map(|(name, value)| {
                let asked = theirs.get(name.as_str()).cloned().unwrap_or_default();
                format!("  {name}: the checkpoint has {value}, the arguments say {asked}")
            })
            .collect()
    }
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
    fn a_stored_target_is_its_name_and_must_exist() {
        let mut stored = serde_json::to_value(RunConfig {
            target: "h16:client".parse().unwrap(),
            ..RunConfig::default()
        })
        .unwrap();
        assert_eq!(stored["target"], "h16:client");
        stored["target"] = "h99".into();
        let error = serde_json::from_value::<RunConfig>(stored).unwrap_err();
        assert!(error.to_string().contains("no target is called `h99`"));
    }
}
