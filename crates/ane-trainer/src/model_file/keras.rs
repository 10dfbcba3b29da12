//! Configurations and weights of Keras, from the exporter or a run directory, and what `model.compile` was given.

use super::{
    Asked, layers, remove, torch,
    training::{Rate, Training, Update},
};
use crate::{failure::Failure, output::remark};
use ane_files::ReadError;
use ane_import::keras::{
    Classifier, KerasError, LONGEST,
    compile::{self, Compiled},
};
use ane_ir::DType;
use ane_train::{
    checkpoint::replace_file,
    loss::Loss,
    model::{Model, ModelError},
    models::{Examples, Imported, ModelSource},
};
use serde_json::{Map, Value as Json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The configuration, in a run directory and from the exporter.
const CONFIG: &str = "config.json";
/// The weights that training begins with.
const WEIGHTS: &str = "weights.safetensors";
/// What a folder of a run has of a model of Keras.
pub(super) const FILES: [&str; 2] = [CONFIG, WEIGHTS];

/// What builds a model, for a loss.
struct KerasFile {
    classifier: Classifier,
    loss: Loss,
}

impl ModelSource for KerasFile {
    fn build(&self, dtype: DType, batch: usize, examples: &Examples) -> Result<Model, ModelError> {
        let imported = self.classifier.import((dtype, batch), examples, &self.loss);
        let imported = imported.map_err(|e| ModelError::Imported(e.to_string()))?;
        Ok(imported.model)
    }

    fn save(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        remove(directory, &torch::FILES)?;
        remove(directory, &layers::FILES)?;
        let write = |name, bytes: &[u8]| {
            replace_file(&directory.join(name), bytes).map_err(io::Error::other)
        };
        write(CONFIG, &self.classifier.config)?;
        write(WEIGHTS, &self.classifier.weights)
    }
}

/// What the exporter says of `model.compile`.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Said {
    /// What `model.get_compile_config()` gives; nothing of a model that was not compiled.
    compile: Option<Map<String, Json>>,
    /// Why it gives nothing though the model was compiled.
    compile_error: Option<String>,
}

/// The model of what the exporter has written, and how it is trained.
pub(super) fn of_exporter(
    asked: &Asked<'_>,
    said: Said,
    written: &Path,
) -> Result<(Imported, Training), Failure> {
    let classifier = read(asked.model, written)?;
    let compiled = compiled(asked, said)?;
    let own = compiled.as_ref().and_then(|c| c.losses.first());
    let loss = asked.loss.or(own.map(|own| own.loss));
    let loss = loss.unwrap_or(asked.default_loss);
    let form = (DType::Fp16, asked.batch);
    let imported = classifier.import(form, asked.examples, &loss);
    let imported = imported.map_err(|e| refused(asked.model, e))?;
    let training = match compiled {
        None => Training::default(),
        Some(compiled) => {
            let checked = compiled.check(&imported.outputs);
            checked.map_err(|e| refused(asked.model, e))?;
            training(asked, compiled)?
        }
    };
    let file = KerasFile { classifier, loss };
    Ok((Imported::new(asked.model, file), training))
}

/// The configuration in a folder that has a model of Keras.
pub(super) fn config_in(directory: &Path) -> Option<PathBuf> {
    Some(directory.join(CONFIG)).filter(|config| config.is_file())
}

/// The model of a folder of a run, which was trained by this loss.
pub(super) fn of_run(name: &str, directory: &Path, loss: Loss) -> Result<Imported, Failure> {
    let classifier = read(name, directory)?;
    Ok(Imported::new(name, KerasFile { classifier, loss }))
}

fn read(name: &str, directory: &Path) -> Result<Classifier, Failure> {
    let most = ane_device::available_memory().unwrap_or(u64::MAX);
    let part = |file: &str, limit: u64| {
        let path = directory.join(file);
        ane_files::read(&path, limit).map_err(|e: ReadError| {
            Failure::because(
                format!("cannot read `{}` of the model `{name}`", path.display()),
                e,
                "begin a new run with the model's own file",
            )
        })
    };
    Ok(Classifier {
        config: part(CONFIG, LONGEST as u64)?,
        weights: part(WEIGHTS, most)?,
    })
}

/// What `model.compile` was given, but for what flags say.
fn compiled(asked: &Asked<'_>, said: Said) -> Result<Option<Compiled>, Failure> {
    let all_by_flags = asked.loss.is_some() && !asked.wants_optimizer;
    if let (Some(error), false) = (said.compile_error, all_by_flags) {
        return Err(Failure::new(
            format!("`{}` does not say how it is compiled: {error}", asked.model),
            "pass --loss and --optimizer, whose word is above the file's",
        ));
    }
    let Some(mut config) = said.compile else {
        return Ok(None);
    };
    // What a flag says instead is not looked at: a name stands for an optimizer with its defaults.
    if asked.loss.is_some() {
        config.remove("loss");
        config.remove("loss_weights");
    }
    if !asked.wants_optimizer {
        config.insert("optimizer".to_owned(), "sgd".into());
    }
    let compiled = compile::compiled(&Json::Object(config));
    compiled.map(Some).map_err(|e| refused(asked.model, e))
}

/// What of that is the run's.
fn training(asked: &Asked<'_>, compiled: Compiled) -> Result<Training, Failure> {
    let loss = match &compiled.losses[..] {
        [] => None,
        [one] if one.weight == 1.0 => Some(one.loss),
        _ => {
            return Err(Failure::new(
                format!("`{}` is compiled with weights of its losses", asked.model),
                "compile it with one loss, or pass --loss",
            ));
        }
    };
    if !compiled.other_metrics.is_empty() {
        remark!(
            "note: the run does not compute {} of model.compile",
            compiled.other_metrics.join(", ")
        );
    }
    let optimizer = asked.wants_optimizer.then_some(Update {
        optimizer: compiled.optimizer,
        rate: Rate::Schedule(compiled.learning_rate),
        max_norm: compiled.max_norm,
        accumulate: compiled.accumulate,
    });
    Ok(Training {
        loss,
        optimizer,
        metric: compiled.metrics.first().map(|m| m.metric.name()),
    })
}

fn refused(name: &str, e: KerasError) -> Failure {
    Failure::because(
        format!("cannot train `{name}`"),
        e,
        "change that in the model; --loss and --optimizer are above what it was compiled with",
    )
}
