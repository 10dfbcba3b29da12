//! Exported programs of PyTorch, from the exporter, a `.pt2` file, or a run directory.

use super::{keras, layers, remove};
use crate::failure::Failure;
use ane_import::model::TorchModel;
use ane_ir::DType;
use ane_train::{
    model::{Model, ModelError},
    models::{Examples, Imported, ModelSource},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The exported program of training, in a run directory and from the exporter.
const TRAIN: &str = "train.pt2";
/// That of evaluation, if there is one.
const EVAL: &str = "eval.pt2";

/// What a folder of a run may have of a model of PyTorch.
pub(super) const FILES: [&str; 2] = [TRAIN, EVAL];

/// The files of a model, and what is read from them.
struct TorchFile {
    model: TorchModel,
    train: PathBuf,
    eval: Option<PathBuf>,
    /// Where they lie, until they are in a run directory.
    _temporary: Option<TempDir>,
}

impl ModelSource for TorchFile {
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
        remove(directory, &keras::FILES)?;
        remove(directory, &layers::FILES)?;
        fs::copy(&self.train, directory.join(TRAIN))?;
        match &self.eval {
            Some(eval) => fs::copy(eval, directory.join(EVAL)).map(drop),
            None => remove(directory, &[EVAL]),
        }
    }
}

/// Whether a folder has a model of PyTorch.
pub(super) fn is_in(directory: &Path) -> bool {
    directory.join(TRAIN).is_file()
}

/// The model of a `.pt2` file.
pub(super) fn of_file(name: &str) -> Result<Imported, Failure> {
    open(name, PathBuf::from(name), None, None)
}

/// The model of what the exporter has written, and what is deleted with it.
pub(super) fn of_exporter(name: &str, written: TempDir) -> Result<Imported, Failure> {
    let (train, eval) = (written.path().join(TRAIN), written.path().join(EVAL));
    open(name, train, Some(eval), Some(written))
}

/// The model of a folder of a run.
pub(super) fn of_run(name: &str, directory: &Path) -> Result<Imported, Failure> {
    let eval = Some(directory.join(EVAL)).filter(|eval| eval.is_file());
    open(name, directory.join(TRAIN), eval, None)
}

fn open(
    name: &str,
    train: PathBuf,
    eval: Option<PathBuf>,
    temporary: Option<TempDir>,
) -> Result<Imported, Failure> {
    let model = TorchModel::open(name, &train, eval.as_deref()).map_err(|e| {
        let help = e.help();
        Failure::because(format!("cannot read `{name}`"), e, help)
    })?;
    let file = TorchFile {
        model,
        train,
        eval,
        _temporary: temporary,
    };
    Ok(Imported::new(name, file))
}
