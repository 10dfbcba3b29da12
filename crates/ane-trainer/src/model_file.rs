//! Models in files: `my_model.py:Net` and `model.keras`, which the user's Python exports, `model.pt2`, and lists of layers in
//! TOML.
//!
//! What it takes to build the model again is kept in the run directory, so that a run that goes on, is evaluated or
//! inspected runs no code of the user's again and needs no Python. No pickle is opened.

mod exporter;
mod keras;
mod layers;
mod python;
mod torch;
mod training;

pub(crate) use exporter::save_keras;
pub(crate) use python::PythonArgs;
pub(crate) use training::Training;

use crate::{code::Code, failure::Failure, output::say};
use ane_train::{
    config::RunConfig,
    loss::Loss,
    models::{Examples, Imported},
    run_dir::RunDir,
};
use exporter::Exported;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What is asked of a model file.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The file, and what of it.
    pub(crate) model: &'a str,
    /// The Python to run it in.
    pub(crate) python: &'a PythonArgs,
    /// Rows of a batch.
    pub(crate) batch: usize,
    /// Seed of the weights.
    pub(crate) seed: u64,
    /// What the model is to take.
    pub(crate) examples: &'a Examples,
    /// The loss that holds instead of the file's.
    pub(crate) loss: Option<Loss>,
    /// The loss that holds where the file says none.
    pub(crate) default_loss: Loss,
    /// Whether the file's optimizer would hold.
    pub(crate) wants_optimizer: bool,
}

/// The model that a file is asked for, and what the file says of its training.
pub(crate) fn read(asked: &Asked<'_>) -> Result<(Imported, Training), Failure> {
    if asked.model.ends_with(".toml") {
        return Ok((layers::of_file(asked.model)?, Training::default()));
    }
    if asked.model.ends_with(".pt2") {
        return Ok((torch::of_file(asked.model)?, Training::default()));
    }
    let (directory, exported) = exporter::export(asked)?;
    match exported {
        Exported::Torch {
            version,
            shape,
            training,
        } => {
            say_exported(asked.model, Some(shape), "torch", &version);
            Ok((torch::of_exporter(asked.model, directory)?, training.into()))
        }
        Exported::Keras {
            version,
            shape,
            compiled,
        } => {
            let read = keras::of_exporter(asked, compiled, directory.path())?;
            say_exported(asked.model, shape, "keras", &version);
            Ok(read)
        }
    }
}

/// Whether the file that a model is asked for is there; a list of layers is read, as it needs nothing else.
pub(crate) fn must_be_there(model: &str) -> Result<(), Failure> {
    if model.ends_with(".toml") {
        return layers::of_file(model).map(drop);
    }
    let end = model
        .find(".py:")
        .map_or(model.len(), |at| at + ".py".len());
    let there = fs::metadata(&model[..end]).map(drop);
    there.map_err(|e| {
        Failure::because(
            format!("cannot read the model `{}`", &model[..end]),
            e,
            "check that it is there and that you may read it",
        )
        .with_code(Code::NotThere)
    })
}

fn say_exported(model: &str, shape: Option<Vec<usize>>, framework: &str, version: &str) {
    let axes = |shape: Vec<usize>| -> String { shape.iter().map(|n| format!(", {n}")).collect() };
    let takes = shape.map(axes).unwrap_or_default();
    say!("{model}: takes [B{takes}], exported by {framework} {version}");
}

/// The model of a run, from its directory.
pub(crate) fn of_run(config: &RunConfig, run: Option<&Path>) -> Result<Imported, Failure> {
    let model = &config.model;
    let lost = |what: String| {
        Failure::new(
            what,
            "keep the checkpoint in the directory of its run, whose folder `model` has the model",
        )
    };
    let run = run.ok_or_else(|| {
        lost(format!(
            "the checkpoint is of `{model}` and lies outside of its run directory"
        ))
    })?;
    let directory = RunDir::open(run).model();
    if torch::is_in(&directory) {
        return torch::of_run(model, &directory);
    }
    if layers::is_in(&directory) {
        return layers::of_run(model, &directory);
    }
    if keras::config_in(&directory).is_some() {
        return keras::of_run(model, &directory, config.loss);
    }
    let [torch, _] = torch::FILES;
    let [keras, _] = keras::FILES;
    let [layers] = layers::FILES;
    Err(lost(format!(
        "the model is missing: there is none of `{torch}`, `{keras}` and `{layers}` in `{}`",
        directory.display()
    )))
}

/// The configuration of the Keras model of a run, if it is one.
pub(crate) fn keras_config(run: &Path) -> Option<PathBuf> {
    keras::config_in(&RunDir::open(run).model())
}

/// The failure of a model that cannot be kept.
pub(crate) fn not_saved(directory: &Path, e: io::Error) -> Failure {
    Failure::because(
        format!("cannot keep the model in `{}`", directory.display()),
        e,
        "pass another --out",
    )
}

/// Removes files that may be there.
fn remove(directory: &Path, names: &[&str]) -> io::Result<()> {
    for name in names {
        match fs::remove_file(directory.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
