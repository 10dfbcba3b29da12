//! A run before its first step: its files, and the loop that goes on from where a checkpoint says.

use super::{Examples, Fit, FitError, Patience};
use crate::{
    checkpoint::{Best, CheckpointError, EpochSums, Record},
    config::RunConfig,
    data::{Dataset, Description, Sampler},
    error::TrainerError,
    machine::Machine,
    recovery::Recovery,
    run_dir::RunDir,
    trainer::Trainer,
};
use ane_engine::simd::Isa;
use std::sync::Arc;

/// What a run is begun with.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// Its configuration.
    pub config: &'a RunConfig,
    /// What its examples are.
    pub description: &'a Description,
    /// The model, restored where the run goes on.
    pub trainer: Trainer,
    /// The training set.
    pub train: Arc<dyn Dataset>,
    /// The order of the examples that are trained on.
    pub sampler: Sampler,
    /// Those that choose the best state.
    pub validation: Option<Examples>,
    /// Where its files go.
    pub run: RunDir,
    /// The checkpoint that it goes on from, if it does.
    pub record: Option<&'a Record>,
    /// Best validation result so far, where its checkpoint is there.
    pub best: Option<Best>,
    /// Steps between checkpoints within an epoch, if wanted.
    pub checkpoint_every: Option<u64>,
    /// Epochs, the last ones, whose checkpoints are kept besides `last` and `best`.
    pub keep: u64,
    /// How faults of the device are survived; `None` where it cannot start again.
    pub recovery: Option<Recovery>,
    /// What this process computes with.
    pub isa: Isa,
}

/// Writes `config.json` and `env.json`.
///
/// # Errors
/// When they cannot be written.
pub fn describe(
    run: &RunDir,
    config: &impl serde::Serialize,
    threads: usize,
    isa: Isa,
) -> Result<(), CheckpointError> {
    // By way of a value, whose fields are in order of their names.
    let value = serde_json::to_value(config).unwrap_or_default();
    run.write_json("config.json", &value)?;
    let environment = serde_json::json!({
        "ane_trainer": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "instruction_set": isa.name(),
        "threads": threads,
    });
    run.write_json("env.json", &environment)
}

impl Fit {
    /// The loop of a run from where its record is; metrics of later steps are cut off.
    ///
    /// # Errors
    /// When the examples do not fit the objective, or a file cannot be written.
    pub fn begin(from: Beginning<'_>) -> Result<Self, FitError> {
        let Beginning {
            config,
            description,
            trainer,
            train,
            sampler,
            validation,
            run,
            record,
            ..
        } = from;
        run.truncate_metrics(record.map_or(0, |r| r.progress.step))?;
        if let Some(record) = record
            && !config.is_done(record)
        {
            run.forget_epochs_after(record.position.0)?;
        }
        let trained = trainer.config();
        let fits = trained.objective.check(&trained.model, &*train);
        fits.map_err(TrainerError::from)?;
        Ok(Self {
            trainer,
            validation,
            data: train,
            sampler,
            epochs: config.epochs,
            max_steps: config.max_steps,
            patience: Patience::of(config),
            deadline: None,
            run,
            config: serde_json::to_value(config).unwrap_or_default(),
            weights_metadata: config.weights_metadata(description),
            description: Some(description.clone()),
            machine: Machine::this(from.isa),
            position: record.map_or((0, 0), |r| r.position),
            sums: record.map_or_else(EpochSums::default, |r| r.epoch_sums.clone()),
            best: from.best,
            checkpoint_every: from.checkpoint_every,
            keep: from.keep,
            recovery: from.recovery,
        })
    }
}
