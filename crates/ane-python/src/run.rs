//! The directory of a run whose loop is Python's.

use crate::{
    errors::{AneError, InputError, RunError, of_checkpoint, of_trainer},
    trainer::Trainer,
};
use ane_engine::simd::Isa;
use ane_train::{
    checkpoint::{Best, Checkpoint, EpochSums, Record, write_weights},
    fit::describe,
    machine::Machine,
    model::{Kept, KeptValues},
    run_dir::RunDir,
};
use pyo3::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// The files of a run, in the places that the command line has them.
#[pyclass(frozen)]
pub(crate) struct Run {
    run: RunDir,
    config: serde_json::Value,
}

fn parsed(json: &str) -> PyResult<serde_json::Value> {
    serde_json::from_str(json).map_err(|e| AneError::new_err(format!("a record of the run: {e}")))
}

#[pymethods]
impl Run {
    /// Begins a run in a directory that no other run has been in, with its configuration as JSON and, where they can be kept,
    /// the exported programs of its model.
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        config: &str,
        threads: usize,
        model: Vec<PathBuf>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let config = parsed(config)?;
            let run = RunDir::create(&path).map_err(|e| of_checkpoint(&e))?;
            if let Some(trace) = run.trace() {
                return Err(InputError::new_err(format!(
                    "run_dir={} has a run in it already: {}; name another directory",
                    path.display(),
                    trace.display()
                )));
            }
            run.truncate_metrics(0).map_err(|e| of_checkpoint(&e))?;
            run.remove_result().map_err(|e| of_checkpoint(&e))?;
            describe(&run, &config, threads, Isa::detect()).map_err(|e| of_checkpoint(&e))?;
            keep(&run.model(), &model)
                .map_err(|e| RunError::new_err(format!("cannot keep the model in the run: {e}")))?;
            Ok(Self { run, config })
        })
    }

    /// Appends the metrics of an epoch, a JSON object.
    fn append_metrics(&self, py: Python<'_>, metrics: &str) -> PyResult<()> {
        py.detach(|| {
            let metrics = parsed(metrics)?;
            self.run
                .append_metrics(&metrics)
                .map_err(|e| of_checkpoint(&e))
        })
    }

    /// Writes `result.json`.
    fn write_result(&self, py: Python<'_>, result: &str) -> PyResult<()> {
        py.detach(|| {
            let result = parsed(result)?;
            let written = self.run.write_json("result.json", &result);
            written.map_err(|e| of_checkpoint(&e))
        })
    }

    /// Writes the checkpoint `name` of a trainer after so many epochs, and its weights beside it; `best` is the least loss
    /// so far and its epoch, `counters` what buffers have counted.
    #[pyo3(signature = (trainer, name, epoch, best=None, counters=HashMap::new()))]
    fn write_checkpoint(
        &self,
        py: Python<'_>,
        trainer: &Trainer,
        name: &str,
        epoch: u64,
        best: Option<(f64, u64)>,
        counters: HashMap<String, i64>,
    ) -> PyResult<()> {
        py.detach(|| {
            let trainer = trainer.locked()?;
            let checkpoint = Checkpoint {
                record: Record {
                    config: self.config.clone(),
                    progress: *trainer.progress(),
                    position: (epoch, 0),
                    epoch_sums: EpochSums::default(),
                    best: best.map(|(loss, epoch)| Best {
                        value: loss,
                        loss,
                        epoch,
                    }),
                    machine: Some(Machine::this(Isa::detect())),
                    data: None,
                },
                state: trainer.state().map_err(|e| of_trainer(&e))?,
            };
            let kept = trainer.config().model.kept.iter().map(|kept| Kept {
                values: match counters.get(&kept.path) {
                    Some(&count) => KeptValues::Int64([count].into()),
                    None => kept.values.clone(),
                },
                ..kept.clone()
            });
            let kept: Vec<Kept> = kept.collect();
            let weights = trainer.weights_of(&checkpoint.state);
            let path = self.run.weights(name);
            write_weights(&path, &weights, &kept, &BTreeMap::new())
                .and_then(|()| checkpoint.write(&self.run.checkpoint(name)))
                .map_err(|e| of_checkpoint(&e))
        })
    }
}

/// Copies files into a directory, each whole or not at all.
fn keep(directory: &Path, files: &[PathBuf]) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    for file in files {
        let name = file.file_name().unwrap_or_default();
        let part = directory.join(format!(".writing-{}", name.to_string_lossy()));
        fs::copy(file, &part)?;
        fs::rename(&part, directory.join(name))?;
    }
    Ok(())
}
