//! A run as a checkpoint has it: to be judged, to be asked, to be exported.

use crate::{
    continuation::{description, judged_by, stored_config},
    failure::Failure,
    output::detail,
    supervision::{Opened, SupervisionArgs},
    threads::machine,
};
use ane_device::EngineLock;
use ane_train::{
    Trainer, checkpoint::Checkpoint, config::RunConfig, data::Description, recovery::Faults,
};
use std::path::{Path, PathBuf};

/// A run as a checkpoint has it.
pub(crate) struct Stored {
    /// The file.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) checkpoint: Checkpoint,
    /// The configuration of its run.
    pub(crate) config: RunConfig,
    /// What the examples of its run are.
    pub(crate) data: Description,
}

/// What a run has learned, on its device.
pub(crate) struct Restored {
    pub(crate) trainer: Trainer,
    /// How faults of the device are survived.
    pub(crate) faults: Faults,
    /// Held as long as the device is used.
    pub(crate) lock: Option<EngineLock>,
}

impl Stored {
    /// The state that a run is judged by, `best` where there is one, or the checkpoint that a path means.
    pub(crate) fn read(run: &Path) -> Result<Self, Failure> {
        let (path, checkpoint) = judged_by(run)?;
        let step = checkpoint.record.progress.step;
        detail!("opened {}, of step {step}", path.display());
        let config = stored_config(&path, &checkpoint)?;
        let data = description(&config, &checkpoint)?;
        Ok(Self {
            path,
            checkpoint,
            config,
            data,
        })
    }

    /// Brings it onto its device; the average of the weights stands for them where one is kept.
    pub(crate) fn restore(
        &self,
        supervision: &SupervisionArgs,
        threads: Option<usize>,
    ) -> Result<Restored, Failure> {
        let (pool, isa) = machine(threads)?;
        let opened = supervision.open_device(&self.config, &pool, isa)?;
        let mut faults = opened.faults();
        let Opened { device, lock, .. } = opened;
        let config = self.config.trainer_on(&self.data, 1)?;
        let mut trainer = Trainer::new(config, device, pool, isa)?;
        let Checkpoint { record, state } = &self.checkpoint;
        faults.restore(&mut trainer, record.progress, state)?;
        trainer.take_average()?;
        Ok(Restored {
            trainer,
            faults,
            lock,
        })
    }
}
