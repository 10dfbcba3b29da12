//! The exporter in the user's Python: what it is asked, and what it answers.

use super::{Asked, python};
use crate::failure::Failure;
use ane_train::{loss::Loss, optim::OptimizerConfig};
use serde::Deserialize;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// Longest answer.
const LARGEST_ANSWER: u64 = 1 << 20;

/// An exported model.
#[derive(Debug)]
pub(super) struct Exported {
    /// Where its files lie.
    pub(super) directory: TempDir,
    /// Shape of an example.
    pub(super) shape: Vec<usize>,
    /// Version of PyTorch.
    pub(super) torch: String,
    /// The file's loss.
    pub(super) loss: Option<Loss>,
    /// The file's optimizer, and its learning rate.
    pub(super) optimizer: Option<(OptimizerConfig, f64)>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Answer {
    Exported {
        torch: String,
        shape: Vec<usize>,
        loss: Option<Loss>,
        optimizer: Option<Rate>,
    },
    Refused {
        error: Refusal,
    },
}

/// An optimizer's settings, and its learning rate among them.
#[derive(Debug, Deserialize)]
struct Rate {
    lr: f64,
    #[serde(flatten)]
    optimizer: OptimizerConfig,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    kind: String,
    message: String,
    #[serde(rename = "where")]
    place: String,
}

/// Exports the model of a Python file.
pub(super) fn export(asked: &Asked<'_>) -> Result<Exported, Failure> {
    let failed = |e| {
        Failure::because(
            "cannot make a temporary directory for the model",
            e,
            "make space, or set TMPDIR",
        )
    };
    let directory = TempDir::with_prefix("ane-trainer-").map_err(failed)?;
    let script = directory.path().join("torch_exporter.py");
    let request = directory.path().join("request.json");
    let [channels, rows, columns] = asked.examples.shape;
    let mut shapes = vec![vec![channels, rows, columns]];
    if channels == 1 {
        shapes.push(vec![rows, columns]);
    }
    shapes.push(vec![asked.examples.values()]);
    shapes.push(vec![rows, columns, channels]);
    let question = json!({
        "source": asked.model,
        "output": directory.path(),
        "seed": asked.seed,
        "batch": asked.batch,
        "shapes": shapes,
        "classes": asked.examples.classes,
        "loss": asked.wants_loss,
        "optimizer": asked.wants_optimizer,
    });
    fs::write(&script, ane_import::TORCH_EXPORTER).map_err(failed)?;
    fs::write(&request, question.to_string()).map_err(failed)?;
    let python = python::find(asked.python);
    let arguments = [script.into_os_string(), request.into_os_string()];
    let status = python::run(&python, &arguments, asked.deadline, asked.model)?;
    let result = directory.path().join("result.json");
    let answer = ane_files::read(&result, LARGEST_ANSWER).ok();
    let answer = answer.and_then(|text| serde_json::from_slice::<Answer>(&text).ok());
    match answer {
        Some(Answer::Exported {
            torch,
            shape,
            loss,
            optimizer,
        }) => Ok(Exported {
            directory,
            shape,
            torch,
            loss,
            optimizer: optimizer.map(|o| (o.optimizer, o.lr)),
        }),
        Some(Answer::Refused { error }) => Err(refused(&error)),
        None => Err(Failure::new(
            format!(
                "the Python `{}` ended without a word on `{}`: {status}",
                python.display(),
                asked.model
            ),
            "what it printed is above; import the file in that Python to see more",
        )),
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
        "not_torch" => (true, "name something that is, or gives, a torch.nn.Module"),
        "forward" | "shape" => (
            false,
            "change the model's forward pass, or pass another --dataset",
        ),
        "no_torch" | "old_torch" => (
            false,
            "name a Python with torch ≥ 2.15 by --python, or activate its environment",
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
        Failure::new(message, help)
    }
}
