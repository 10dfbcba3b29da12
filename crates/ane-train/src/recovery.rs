//! Surviving faults of the device: starting it again, and knowing when that is hopeless.

use crate::{
    error::TrainerError,
    store::State,
    trainer::{Progress, Trainer},
};

/// How a run survives faults of a device that can start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Steps between snapshots of the state in memory: at most so many are repeated after a fault.
    pub snapshot_every: u64,
    /// Faults in a row, without getting further, after which the run gives up.
    pub most_faults: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            snapshot_every: 100,
            most_faults: 5,
        }
    }
}

/// Counts the faults of a run.
#[derive(Debug, Default)]
pub struct Faults {
    recovery: Option<Recovery>,
    in_a_row: u32,
    furthest_step: u64,
    unreported: Vec<String>,
}

impl Faults {
    /// With `None` every fault is the caller's error.
    pub fn new(recovery: Option<Recovery>) -> Self {
        Self {
            recovery,
            ..Self::default()
        }
    }

    /// How faults are survived, if they are.
    pub fn recovery(&self) -> Option<Recovery> {
        self.recovery
    }

    /// Notes that a step was taken; steps that are repeated are no progress.
    pub fn took_step(&mut self, step: u64) {
        if step > self.furthest_step {
            self.furthest_step = step;
            self.in_a_row = 0;
        }
    }

    /// Notes that something was done that will not be done again.
    pub fn got_further(&mut self) {
        self.in_a_row = 0;
    }

    /// Starts the device again if `error` is a fault. The state has to be restored then.
    ///
    /// # Errors
    /// `error` itself when it is none or faults are not survived; [`TrainerError::GaveUp`] after too many; why the device
    /// cannot start.
    pub fn survive(
        &mut self,
        error: TrainerError,
        trainer: &mut Trainer,
    ) -> Result<(), TrainerError> {
        let Some(recovery) = self.recovery else {
            return Err(error);
        };
        let mut error = error;
        loop {
            let TrainerError::Device(source) = error else {
                return Err(error);
            };
            if !source.is_fault() {
                return Err(source.into());
            }
            self.in_a_row += 1;
            if self.in_a_row > recovery.most_faults {
                return Err(TrainerError::GaveUp {
                    faults: self.in_a_row,
                    source,
                });
            }
            self.unreported.push(source.to_string());
            match trainer.recover() {
                Ok(()) => return Ok(()),
                Err(e) => error = e,
            }
        }
    }

    /// Restores a state, through faults.
    ///
    /// # Errors
    /// As [`Trainer::restore`] and [`Faults::survive`].
    pub fn restore(
        &mut self,
        trainer: &mut Trainer,
        progress: Progress,
        state: &State,
    ) -> Result<(), TrainerError> {
        while let Err(e) = trainer.restore(progress, state) {
            self.survive(e, trainer)?;
        }
        Ok(())
    }

    /// What the faults since the last call were.
    pub fn take_messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unreported)
    }
}
