//! The exporter in the user's Python: what it is asked, and what it answers.

use super::{
    Asked, PythonArgs, keras,
    training::{Rate, Training, Update},
};
use crate::{code::Code, failure::Failure};
use ane_train::{loss::Loss, optim::OptimizerConfig};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use std::{fs, io, path::Path};
use tempfile::TempDir;

/// Longest answer.
const LARGEST_ANSWER: u64 = 1 << 20;

/// An exported model.
#[derive(Debug, Deserialize)]
#[serde(tag = "framework", rename_all = "lowercase")]
pub(super) enum Exported {
    /// As exported programs.
    Torch {
        /// Version of PyTorch.
        version: String,
        /// Shape of an example.
        shape: Vec<usize>,
        /// The file's loss and optimizer.
        #[serde(flatten)]
        training: TorchTraining,
    },
    /// As a configuration and weights.
    Keras {
        /// Version of Keras.
        version: String,
        /// Shape of an example, of a model with one input.
        shape: Option<Vec<usize>>,
        /// What `model.compile` was given.
        #[serde(flatten)]
        compiled: keras::Said,
    },
}

/// What a file of PyTorch's says of its training.
#[derive(Debug, Deserialize)]
pub(super) struct TorchTraining {
    loss: Option<Loss>,
    optimizer: Option<TorchOptimizer>,
}

/// An optimizer's settings, and its learning rate among them.
#[derive(Debug, Deserialize)]
struct TorchOptimizer {
    lr: f64,
    #[serde(flatten)]
    optimizer: OptimizerConfig,
}

impl From<TorchTraining> for Training {
    fn from(said: TorchTraining) -> Self {
        Self {
            loss: said.loss,
            optimizer: said.optimizer.map(|o| Update {
                optimizer: o.optimizer,
                rate: Rate::Peak(o.lr),
                max_norm: None,
                accumulate: 1,
            }),
            metric: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: Refusal },
    Done(T),
}

#[derive(Debug, Deserialize)]
struct Refusal {
    kind: String,
    message: String,
    #[serde(rename = "where")]
    place: String,
}

/// Exports the model of a Python file, or of a `.keras` file, into a directory.
pub(super) fn export(asked: &Asked<'_>) -> Result<(TempDir, Exported), Failure> {
    let directory = temporary()?;
    let question = json!({
        "do": "export",
        "source": asked.model,
        "output": directory.path(),
        "seed": asked.seed,
        "batch": asked.batch,
        "examples": asked.examples.shape.dims(),
        "outputs": asked.examples.outputs.width(),
        "loss": asked.loss.is_none(),
        "optimizer": asked.wants_optimizer,
    });
    let exported = ask(question, directory.path(), asked.python, asked.model)?;
    Ok((directory, exported))
}

/// What the exporter says of a model that it has saved.
#[derive(Debug, Deserialize)]
struct Saved {
    /// Version of Keras.
    version: String,
}

/// A `.keras` file of a configuration and of weights, which are written where it says.
pub(crate) fn save_keras(
    model: &str,
    config: &Path,
    python: &PythonArgs,
    write_weights: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    let directory = temporary()?;
    let (weights, output) = (
        directory.path().join("weights.safetensors"),
        directory.path().join("model.keras"),
    );
    write_weights(&weights)?;
    let question = json!({
        "do": "save",
        "config": config,
        "weights": weights,
        "output": output,
    });
    let Saved { version } = ask(question, directory.path(), python, model)?;
    let most = ane_device::available_memory().unwrap_or(u64::MAX);
    ane_files::read(&output, most).map_err(|e| {
        Failure::because(
            format!("cannot read what keras {version} has saved of `{model}`"),
            e,
            "make space, or set TMPDIR",
        )
    })
}

/// A directory that is gone when its value is.
fn temporary() -> Result<TempDir, Failure> {
    TempDir::with_prefix("ane-trainer-").map_err(no_room)
}

fn no_room(e: io::Error) -> Failure {
    Failure::because(
        "cannot make a temporary directory for the model",
        e,
        "make space, or set TMPDIR",
    )
}

/// Asks the exporter something about a model; its files lie in a directory.
fn ask<T: DeserializeOwned>(
    mut question: Json,
    directory: &Path,
    python: &PythonArgs,
    model: &str,
) -> Result<T, Failure> {
    let program = directory.join("exporter");
    let (request, result) = (
        directory.join("request.json"),
        directory.join("result.json"),
    );
    question["result"] = json!(result);
    fs::create_dir(&program).map_err(no_room)?;
    let script = ane_import::export::write(&program).map_err(no_room)?;
    fs::write(&request, question.to_string()).map_err(no_room)?;
    let status = python.run(&[script.into_os_string(), request.into_os_string()], model)?;
    let answer = ane_files::read(&result, LARGEST_ANSWER).ok();
    let answer = answer.and_then(|text| serde_json::from_slice::<Answer<T>>(&text).ok());
    match answer {
        Some(Answer::Done(done)) => Ok(done),
        Some(Answer::Refused { error }) => Err(refused(&error)),
        None => Err(Failure::new(
            format!(
                "the Python `{}` ended without a word on `{model}`: {status}",
                python.path().display()
            ),
            "what it printed is above; import the file in that Python to see more",
        )
        .with_code(Code::ModelFile)),
    }
}

/// What the exporter said, with advice. Wrong usage is what another command line would mend.
fn refused(refusal: &Refusal) -> Failure {
    let message = match refusal.place.as_str() {
        "" => refusal.message.clone(),
        place => format!("{place}: {}", refusal.message),
    };
    let (is_usage, help) = match refusal.kind.as_str() {
        "source" | "no_name" | "arguments" => (
            true,
            "name a class, a function or a model of the file, and its arguments as literals",
        ),
        "no_file" => (
            true,
            "pass the path of a Python file, then a colon and a name",
        ),
        "no_model" => (
            true,
            "name something that is, or gives, a torch.nn.Module or a keras.Model",
        ),
        "forward" | "shape" => (
            false,
            "change the model's forward pass, or pass another --dataset",
        ),
        "no_framework" | "old_torch" => (
            false,
            "name a Python that has it by --python, torch from 2.15 on, or activate its environment",
        ),
        "not_loaded" => (
            false,
            "save the model again with that Keras; code of one's own in a .keras file is not run",
        ),
        "weights" => (false, "export another checkpoint of the run"),
        "not_built" | "no_config" => (
            false,
            "build it with keras.Sequential or keras.Model(inputs, outputs), from a keras.Input of the data set's shape",
        ),
        "raised" => (false, "run the file in that Python by itself, and mend it"),
        "export" => (
            false,
            "torch.export must be able to trace the forward pass: no branches on values of tensors",
        ),
        "loss" | "optimizer" => (
            false,
            "pass --loss or --optimizer, whose word is above the file's",
        ),
        _ => (false, "write that part of the model in another way"),
    };
    if is_usage {
        Failure::usage(message, help)
    } else {
        Failure::new(message, help).with_code(Code::ModelFile)
    }
}
