//! Losses of Keras's, by name or with settings.
//!
//! A loss on probabilities is one on logits here, and says which activation the model ends with for that.

use crate::keras::{
    Head, KerasError,
    network::serialized,
    settings::{Settings, wrong},
};
use ane_train::loss::Loss;
use serde_json::{Map, Value as Json};

/// A loss and the output that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledLoss {
    /// The output, where the losses are given by name.
    pub output: Option<String>,
    /// The loss, on logits where it is a cross-entropy.
    pub loss: Loss,
    /// What a model ends with that gives the probabilities which Keras's loss takes; none for other losses.
    pub head: Option<Head>,
    /// Whether targets are classes by number.
    pub sparse: bool,
    /// Factor in the sum of all losses.
    pub weight: f64,
}

impl CompiledLoss {
    /// Whether it is about labels that each hold or not.
    pub(super) fn is_binary(&self) -> bool {
        self.loss == Loss::BceWithLogits
    }
}

/// Reads `loss` and `loss_weights`.
pub(super) fn read(settings: &Settings<'_>) -> Result<Vec<CompiledLoss>, KerasError> {
    let Some(json) = settings.get("loss") else {
        return Ok(Vec::new());
    };
    let mut losses = match json {
        Json::Array(all) => all
            .iter()
            .map(|json| one(json, None))
            .collect::<Result<Vec<_>, _>>()?,
        Json::Object(map) if !map.contains_key("class_name") => {
            let mut all: Vec<_> = map.iter().collect();
            all.sort_unstable_by_key(|(name, _)| *name);
            all.into_iter()
                .map(|(name, json)| one(json, Some(name.clone())))
                .collect::<Result<_, _>>()?
        }
        json => vec![one(json, None)?],
    };
    match settings.get("loss_weights") {
        None => {}
        Some(Json::Array(all)) if all.len() == losses.len() => {
            for (loss, weight) in losses.iter_mut().zip(all) {
                loss.weight = crate::keras::settings::number("loss_weights", weight)?;
            }
        }
        Some(Json::Object(map)) => {
            for (name, weight) in map {
                let of = losses
                    .iter_mut()
                    .find(|loss| loss.output.as_ref() == Some(name));
                let of = of.ok_or_else(|| {
                    wrong("loss_weights", "weights of outputs that have a loss", name)
                })?;
                of.weight = crate::keras::settings::number("loss_weights", weight)?;
            }
        }
        Some(other) => return Err(wrong("loss_weights", "a weight for every loss", other)),
    }
    Ok(losses)
}

fn one(json: &Json, output: Option<String>) -> Result<CompiledLoss, KerasError> {
    let empty = Map::new();
    let (name, config) = match json {
        Json::String(name) => (name.as_str(), &empty),
        json => match serialized(json) {
            Ok((module, class, config)) if module.starts_with("keras") => (class, config),
            Ok((_, class, _)) => return Err(unsupported(class)),
            Err(error) => match json.get("config").and_then(Json::as_str) {
                // A function of one's own, or one of Keras's by its name.
                Some(name) => (name, &empty),
                None => return Err(error),
            },
        },
    };
    let s = Settings::new(config);
    match s.text("reduction", "sum_over_batch_size")? {
        "sum_over_batch_size" | "mean" | "auto" => {}
        other => {
            let help = "use sum_over_batch_size, the default";
            let what = format!("`reduction` {other} of a loss");
            return Err(KerasError::unsupported(what, help));
        }
    }
    if s.get("ignore_class").is_some() {
        let help = "leave it out and weigh the examples instead";
        return Err(KerasError::unsupported("`ignore_class` of a loss", help));
    }
    if s.integers("axis")?.is_some_and(|axes| axes != [-1]) {
        let help = "put the classes last";
        return Err(KerasError::unsupported("`axis` of a loss", help));
    }
    let label_smoothing = s.number("label_smoothing", 0.0)?;
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(wrong("label_smoothing", "from 0 to 1", label_smoothing));
    }
    let head = |head| -> Result<Option<Head>, KerasError> {
        Ok((!s.flag("from_logits", false)?).then_some(head))
    };
    let plain = name.replace('_', "").to_ascii_lowercase();
    let (loss, head, sparse) = match plain.as_str() {
        "sparsecategoricalcrossentropy" => (
            Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            head(Head::Softmax)?,
            true,
        ),
        "categoricalcrossentropy" => (
            Loss::CrossEntropy { label_smoothing },
            head(Head::Softmax)?,
            false,
        ),
        "binarycrossentropy" if label_smoothing == 0.0 => {
            (Loss::BceWithLogits, head(Head::Sigmoid)?, false)
        }
        "mse" | "meansquarederror" => (Loss::Mse, None, false),
        "mae" | "meanabsoluteerror" => (Loss::L1, None, false),
        "huber" | "huberloss" => {
            let delta = s.number("delta", 1.0)?;
            if delta <= 0.0 {
                return Err(wrong("delta", "more than 0", delta));
            }
            (Loss::Huber { delta }, None, false)
        }
        _ => return Err(unsupported(name)),
    };
    Ok(CompiledLoss {
        output,
        loss,
        head,
        sparse,
        weight: 1.0,
    })
}

fn unsupported(name: &str) -> KerasError {
    KerasError::unsupported(
        format!("the loss `{}`", crate::keras::error::shortened(name)),
        "use a categorical or binary cross-entropy without smoothed labels, mean squared or absolute error, or Huber",
    )
}
