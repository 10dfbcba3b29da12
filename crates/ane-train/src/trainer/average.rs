//! A moving average of the weights, which judges and is kept beside what is trained.
//!
//! ```text
//! a ← w before and after the first update, then a ← a + (1 − decay)·(w − a)
//! ```
//!
//! as `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn(decay)`. It is the host's, in fp32, over the trained
//! parameters; running statistics are averages already and stay what they are.

use super::Trainer;
use crate::{
    error::TrainerError,
    store::{AVERAGE, Entry, EntryId, Store, WEIGHT},
};

/// The entries of averages, each with that of its weight.
pub(super) fn pairs(store: &Store) -> Vec<(EntryId, EntryId)> {
    let entries = store.entries().filter(|(_, e)| e.role == AVERAGE);
    let pair = |(id, e): (EntryId, &Entry)| Some((id, store.find(WEIGHT, &e.path)?));
    entries.filter_map(pair).collect()
}

impl Trainer {
    /// Moves the averages towards the weights after an update, of which this is the `count`-th.
    pub(super) fn average(&mut self, count: u64) -> Result<(), TrainerError> {
        let Some(decay) = self.config.ema else {
            return Ok(());
        };
        for (average, weight) in self.averages.clone() {
            let new = self.store.read(weight);
            let next: Vec<f32> = if count <= 1 {
                new
            } else {
                let old = self.store.read(average).into_iter();
                let share = (1.0 - decay) as f32;
                old.zip(new).map(|(a, w)| a + share * (w - a)).collect()
            };
            self.store.write(average, &next)?;
        }
        Ok(())
    }

    /// Does `work` with the averages in place of the weights, where they are kept, and puts the weights back as they were.
    ///
    /// # Errors
    /// As `work`; when the device fails.
    pub fn with_average<T, E: From<TrainerError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let trained = self.take_average()?;
        let done = work(self);
        for (weight, values) in trained {
            self.store
                .write(weight, &values)
                .map_err(TrainerError::from)?;
        }
        done
    }

    /// Puts the averages in place of the weights, where they are kept, for a trainer that only judges; gives the weights.
    ///
    /// # Errors
    /// When the device fails.
    pub fn take_average(&mut self) -> Result<Vec<(EntryId, Vec<f32>)>, TrainerError> {
        let mut trained = Vec::new();
        for (average, weight) in self.averages.clone() {
            trained.push((weight, self.store.read(weight)));
            let values = self.store.read(average);
            self.store.write(weight, &values)?;
        }
        self.device.health()?;
        Ok(trained)
    }
}
