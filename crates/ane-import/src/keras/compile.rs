//! What `model.compile` was given: optimizer, learning rate, losses and metrics.
//!
//! Keras's optimizers are ours but for two details. Its Adam adds epsilon to √v before that is corrected, so that its
//! epsilon is larger in the first steps; and its SGD keeps the learning rate inside of the momentum, which differs where
//! the rate moves. Every `weight_decay` of Keras's is decoupled from the gradient, as that of AdamW.

mod learning_rate;
mod losses;

pub use learning_rate::LearningRate;
pub use losses::CompiledLoss;

use super::{
    Head, KerasError, Output,
    network::serialized,
    settings::{Settings, wrong},
};
use ane_train::{
    metric::{Accuracy, BinaryAccuracy, Mae, Metric, Mse, Top5},
    optim::{Adam, AdamW, OptimizerConfig, Sgd},
};
use serde_json::{Map, Value as Json};

/// The settings of `model.compile`.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// Its learning rate.
    pub learning_rate: LearningRate,
    /// Largest norm of all gradients together, Keras's `global_clipnorm`.
    pub max_norm: Option<f64>,
    /// How many batches make an update.
    pub accumulate: usize,
    /// The losses; none is for a model that was compiled without.
    pub losses: Vec<CompiledLoss>,
    /// The metrics that we have.
    pub metrics: Vec<CompiledMetric>,
    /// Metrics that we have not, by what Keras calls them.
    pub other_metrics: Vec<String>,
}

/// A metric that we have.
#[derive(Debug, Clone)]
pub struct CompiledMetric {
    /// What Keras's logs call it.
    pub name: String,
    /// The metric.
    pub metric: &'static dyn Metric,
}

/// Reads `model.get_compile_config()`.
///
/// # Errors
/// When an optimizer, a loss or a setting of one is not implemented, with what to do.
pub fn compiled(config: &Json) -> Result<Compiled, KerasError> {
    let Json::Object(config) = config else {
        return Err(wrong("compile_config", "an object", config));
    };
    let settings = Settings::new(config);
    let optimizer = settings
        .get("optimizer")
        .ok_or_else(|| KerasError::Missing {
            place: Box::default(),
            key: "optimizer".to_owned(),
        })?;
    let (optimizer, learning_rate, clipping) = self::optimizer(optimizer)?;
    let losses = losses::read(&settings)?;
    let (mut metrics, mut other_metrics) = (Vec::new(), Vec::new());
    for key in ["metrics", "weighted_metrics"] {
        if let Some(json) = settings.get(key) {
            read_metrics(json, &losses, &mut metrics, &mut other_metrics);
        }
    }
    Ok(Compiled {
        optimizer,
        learning_rate,
        max_norm: clipping.max_norm,
        accumulate: clipping.accumulate,
        losses,
        metrics,
        other_metrics,
    })
}

impl Compiled {
    /// Whether any loss takes what a final activation gives: then the model is imported with
    /// [`super::Options::logits`].
    pub fn takes_probabilities(&self) -> bool {
        self.losses.iter().any(|loss| loss.head.is_some())
    }

    /// Whether the activations that were taken off the outputs are those that the losses are with.
    ///
    /// # Errors
    /// When a loss takes probabilities and its output is none, or takes what it is and an activation was taken off.
    pub fn check(&self, outputs: &[Output]) -> Result<(), KerasError> {
        for (i, loss) in self.losses.iter().enumerate() {
            let output = match &loss.output {
                Some(name) if outputs.len() > 1 => outputs.iter().find(|o| o.name == *name),
                _ => outputs.get(i),
            };
            let Some(output) = output else {
                let found = loss.output.as_deref().unwrap_or("one output more");
                return Err(wrong("loss", "of outputs that the model has", found));
            };
            let name = |head| match head {
                None => "no softmax or sigmoid",
                Some(Head::Softmax) => "a softmax",
                Some(Head::Sigmoid) => "a sigmoid",
            };
            if output.head != loss.head {
                let expected = format!("{} at the end of `{}`", name(loss.head), output.name);
                let found = format!(
                    "{}; set from_logits of the loss to whether the model ends without one",
                    name(output.head)
                );
                return Err(wrong("loss", expected, found));
            }
        }
        Ok(())
    }
}

/// What an optimizer does to gradients before it uses them.
struct Clipping {
    max_norm: Option<f64>,
    accumulate: usize,
}

fn optimizer(json: &Json) -> Result<(OptimizerConfig, LearningRate, Clipping), KerasError> {
    let empty = Map::new();
    // A name stands for the optimizer with its defaults.
    let (class, config) = match json {
        Json::String(name) => (name.as_str(), &empty),
        json => {
            let (module, class, config) = serialized(json)?;
            if !module.starts_with("keras") {
                return Err(unsupported(&format!("the optimizer `{module}.{class}`")));
            }
            (class, config)
        }
    };
    let s = Settings::new(config);
    for key in ["clipnorm", "clipvalue"] {
        if s.get(key).is_some() {
            let help = "use global_clipnorm instead";
            return Err(KerasError::unsupported(
                format!("`{key}` of an optimizer"),
                help,
            ));
        }
    }
    for key in ["amsgrad", "use_ema", "centered"] {
        if s.flag(key, false)? {
            let help = "leave it out";
            return Err(KerasError::unsupported(
                format!("`{key}` of an optimizer"),
                help,
            ));
        }
    }
    let name = class.to_ascii_lowercase();
    let betas = (s.number("beta_1", 0.9)?, s.number("beta_2", 0.999)?);
    let eps = s.number("epsilon", 1e-7)?;
    let missing = if name == "adamw" { 0.004 } else { 0.0 };
    let weight_decay = s.number("weight_decay", missing)?;
    let optimizer = match name.as_str() {
        "adam" if weight_decay == 0.0 => OptimizerConfig::Adam(Adam {
            betas,
            eps,
            weight_decay,
        }),
        "adam" | "adamw" => OptimizerConfig::AdamW(AdamW {
            betas,
            eps,
            weight_decay,
        }),
        "sgd" => {
            let momentum = s.number("momentum", 0.0)?;
            if weight_decay != 0.0 && momentum != 0.0 {
                let help = "use AdamW, or SGD with only one of them";
                let what = "SGD with momentum and a decoupled weight_decay";
                return Err(KerasError::unsupported(what, help));
            }
            OptimizerConfig::Sgd(Sgd {
                momentum,
                nesterov: s.flag("nesterov", false)?,
                weight_decay,
            })
        }
        _ => return Err(unsupported(&format!("the optimizer `{class}`"))),
    };
    let default = if name == "sgd" { 0.01 } else { 0.001 };
    let learning_rate = match s.get("learning_rate") {
        None => LearningRate::Constant(default),
        Some(json) => LearningRate::read(json)?,
    };
    let clipping = Clipping {
        max_norm: s.optional_number("global_clipnorm")?,
        accumulate: s.size_or("gradient_accumulation_steps", 1)?,
    };
    Ok((optimizer, learning_rate, clipping))
}

fn unsupported(what: &str) -> KerasError {
    KerasError::unsupported(what, "use SGD, Adam or AdamW of keras.optimizers")
}

/// Sorts metrics into those that we have and others, however they are nested.
fn read_metrics(
    json: &Json,
    losses: &[CompiledLoss],
    known: &mut Vec<CompiledMetric>,
    others: &mut Vec<String>,
) {
    let binary = losses
        .first()
        .is_some_and(|loss| loss.head == Some(Head::Sigmoid) || loss.is_binary());
    let accuracy: &'static dyn Metric = if binary { &BinaryAccuracy } else { &Accuracy };
    let (name, shown, k) = match json {
        Json::Array(all) => {
            return all
                .iter()
                .for_each(|json| read_metrics(json, losses, known, others));
        }
        Json::String(name) => (name.clone(), name.as_str(), None),
        Json::Object(map) => match (map.get("class_name"), map.get("config")) {
            (Some(Json::String(class)), Some(config)) => {
                let shown = config.get("name").and_then(Json::as_str);
                let k = config.get("k").and_then(Json::as_u64);
                (class.clone(), shown.unwrap_or(class), k)
            }
            _ => {
                return map
                    .values()
                    .for_each(|json| read_metrics(json, losses, known, others));
            }
        },
        _ => return,
    };
    let plain = name.replace('_', "").to_ascii_lowercase();
    let metric: &'static dyn Metric = match plain.as_str() {
        "accuracy" | "acc" => accuracy,
        "categoricalaccuracy" | "sparsecategoricalaccuracy" => &Accuracy,
        "binaryaccuracy" => &BinaryAccuracy,
        "topkcategoricalaccuracy" | "sparsetopkcategoricalaccuracy" if k.is_none_or(|k| k == 5) => {
            &Top5
        }
        "mse" | "meansquarederror" => &Mse,
        "mae" | "meanabsoluteerror" => &Mae,
        _ => {
            others.push(super::error::shortened(&name));
            return;
        }
    };
    if !known.iter().any(|m| m.metric.name() == metric.name()) {
        known.push(CompiledMetric {
            name: super::error::shortened(shown),
            metric,
        });
    }
}
