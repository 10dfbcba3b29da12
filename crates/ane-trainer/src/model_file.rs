//! Models in files: `my_model.py:Net`, which the user's Python exports, and `model.pt2`.
//!
//! The graphs are kept in the run directory, so that a run that goes on, is evaluated or inspected runs no code of the
//! user's again. No pickle is opened.

mod exporter;
mod python;

use crate::{failure::Failure, output::say};
use ane_import::model::TorchModel;
use ane_ir::DType;
use ane_train::{
    config::RunConfig,
    loss::Loss,
    model::{Model, ModelError},
    models::{Examples, Imported, ModelSource},
    optim::OptimizerConfig,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// The exported program of training, in a run directory and from the exporter.
const TRAIN: &str = "train.pt2";
/// That of evaluation, if there is one.
const EVAL: &str = "eval.pt2";

/// What is asked of a model file.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The file, and what of it.
    pub(crate) model: &'a str,
    /// The Python to run it in.
    pub(crate) python: Option<&'a Path>,
    /// How long that may take.
    pub(crate) deadline: Duration,
    /// Rows of a batch.
    pub(crate) batch: usize,
    /// Seed of the weights.
    pub(crate) seed: u64,
    /// What the model is to take.
    pub(crate) examples: &'a Examples,
    /// Whether the file's loss would hold.
    pub(crate) wants_loss: bool,
    /// Whether the file's optimizer would hold.
    pub(crate) wants_optimizer: bool,
}

/// What a file says of how its model is trained.
#[derive(Debug, Default)]
pub(crate) struct Training {
    loss: Option<Loss>,
    optimizer: Option<(OptimizerConfig, f64)>,
}

impl Training {
    /// Takes the place of the defaults; flags come after it.
    pub(crate) fn over(self, base: &mut RunConfig) {
        if let Some(loss) = self.loss {
            base.loss = loss;
            say!("loss of the file: {}", loss.name());
        }
        if let Some((optimizer, lr)) = self.optimizer {
            say!(
                "optimizer of the file: {}, learning rate {lr}",
                optimizer.as_dyn().name()
            );
            base.optimizer = optimizer;
            base.lr = lr;
        }
    }
}

/// The files of a model, and what is read from them.
struct ModelFile {
    model: TorchModel,
    train: PathBuf,
    eval: Option<PathBuf>,
    /// Where they lie, until they are in a run directory.
    _temporary: Option<TempDir>,
}

impl ModelSource for ModelFile {
    fn build(&self, dtype: DType, batch: usize, examples: &Examples) -> Result<Model, ModelError> {
        let built = self.model.model(dtype, batch, examples);
        built.map_err(|e| ModelError::Imported(format!("{e}; {}", e.help())))
    }

    fn save(&self, directory: &Path) -> io::Result<()> {
        let there = |path: &Path| path.parent().map(Path::canonicalize);
        if let (Some(Ok(own)), Ok(to)) = (there(&self.train), directory.canonicalize())
            && own == to
        {
            return Ok(());
        }
        fs::create_dir_all(directory)?;
        fs::copy(&self.train, directory.join(TRAIN))?;
        match &self.eval {
            Some(eval) => fs::copy(eval, directory.join(EVAL)).map(drop),
            None => match fs::remove_file(directory.join(EVAL)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            },
        }
    }
}

/// The model that a file is asked for, and what the file says of its training.
pub(crate) fn read(asked: &Asked<'_>) -> Result<(Imported, Training), Failure> {
    if asked.model.ends_with(".keras") {
        return Err(Failure::usage(
            format!(
                "`{}` is a model of Keras, which this command does not read",
                asked.model
            ),
            "train it from Python, or write it in PyTorch",
        ));
    }
    if asked.model.ends_with(".pt2") {
        let path = PathBuf::from(asked.model);
        let file = open(asked.model, path, None, None)?;
        return Ok((Imported::new(asked.model, file), Training::default()));
    }
    let exported = exporter::export(asked)?;
    let directory = exported.directory;
    let (train, eval) = (directory.path().join(TRAIN), directory.path().join(EVAL));
    let shape: Vec<String> = exported.shape.iter().map(ToString::to_string).collect();
    say!(
        "{}: takes [B, {}], exported by torch {}",
        asked.model,
        shape.join(", "),
        exported.torch
    );
    let file = open(asked.model, train, Some(eval), Some(directory))?;
    let training = Training {
        loss: exported.loss,
        optimizer: exported.optimizer,
    };
    Ok((Imported::new(asked.model, file), training))
}

/// The model of a run, from its directory.
pub(crate) fn of_run(model: &str, run: Option<&Path>) -> Result<Imported, Failure> {
    let lost = |what: String| {
        Failure::new(
            what,
            "keep the checkpoint in the directory of its run, whose folder `model` has the graphs",
        )
    };
    let run = run.ok_or_else(|| {
        lost(format!(
            "the checkpoint is of `{model}` and lies outside of its run directory"
        ))
    })?;
    let directory = ane_train::run_dir::RunDir::open(run).model();
    let (train, eval) = (directory.join(TRAIN), directory.join(EVAL));
    if !train.is_file() {
        return Err(lost(format!("`{}` is missing", train.display())));
    }
    let eval = eval.is_file().then_some(eval);
    Ok(Imported::new(model, open(model, train, eval, None)?))
}

/// The failure of graphs that cannot be kept.
pub(crate) fn not_saved(directory: &Path, e: io::Error) -> Failure {
    Failure::because(
        format!("cannot keep the model in `{}`", directory.display()),
        e,
        "pass another --out",
    )
}

fn open(
    name: &str,
    train: PathBuf,
    eval: Option<PathBuf>,
    temporary: Option<TempDir>,
) -> Result<ModelFile, Failure> {
    let model = TorchModel::open(name, &train, eval.as_deref()).map_err(|e| {
        let help = e.help();
        Failure::because(format!("cannot read `{name}`"), e, help)
    })?;
    Ok(ModelFile {
        model,
        train,
        eval,
        _temporary: temporary,
    })
}
