//! What a trainer has learned: reading it, replacing it.

use super::{Progress, Trainer};
use crate::{
    error::TrainerError,
    model::Statistic,
    store::{AVERAGE, BUFFER, Moment, NamedWeight, State, WEIGHT, weights_of},
};

fn is_of_optimizer(role: &str) -> bool {
    ![WEIGHT, BUFFER, AVERAGE].contains(&role)
}

impl Trainer {
    /// Sets the weights, in PyTorch's layout and the model's order; optimizer state stays as it is.
    ///
    /// # Errors
    /// When a weight has another number of values.
    pub fn set_weights(&mut self, weights: &[Vec<f32>]) -> Result<(), TrainerError> {
        for (p, w) in self.config.model.parameters.iter().zip(weights) {
            if w.len() != p.shape.numel() {
                return Err(TrainerError::Weight {
                    path: p.path.clone(),
                    expected: p.shape.numel(),
                    found: w.len(),
                });
            }
            if let Some(id) = self.store.find(WEIGHT, &p.path) {
                self.store.write(id, w)?;
            }
        }
        Ok(self.device.health()?)
    }

    /// Sets the running statistics, in the model's order.
    ///
    /// # Errors
    /// When one has another number of values; when the device fails.
    pub fn set_buffers(&mut self, buffers: &[Vec<f32>]) -> Result<(), TrainerError> {
        for (b, values) in self.config.model.buffers.iter().zip(buffers) {
            if values.len() != b.shape.numel() {
                return Err(TrainerError::Weight {
                    path: b.path.clone(),
                    expected: b.shape.numel(),
                    found: values.len(),
                });
            }
            if let Some(id) = self.store.find(BUFFER, &b.path) {
                self.store.write(id, values)?;
            }
        }
        Ok(self.device.health()?)
    }

    /// What the optimizer keeps.
    ///
    /// # Errors
    /// When the device fails.
    pub fn optimizer_state(&self) -> Result<Vec<Moment>, TrainerError> {
        let kept = self.store.entries();
        let kept = kept.filter(|(_, e)| is_of_optimizer(e.role));
        let state = kept.map(|(id, e)| (e.role.to_owned(), e.path.clone(), self.store.read(id)));
        let state = state.collect();
        self.device.health()?;
        Ok(state)
    }

    /// Replaces what the optimizer keeps by the given tensors, and by zeros where there is none.
    ///
    /// # Errors
    /// When a tensor has another number of values; when the device fails.
    pub fn set_optimizer_state(&mut self, given: &[Moment]) -> Result<(), TrainerError> {
        let kept = self.store.entries();
        let kept = kept.filter(|(_, e)| is_of_optimizer(e.role));
        let ids: Vec<_> = kept.map(|(id, _)| id).collect();
        for id in ids {
            let entry = self.store.entry(id);
            let len = entry.shape.numel();
            let found = given
                .iter()
                .find(|(role, path, _)| role == entry.role && *path == entry.path);
            match found {
                Some((_, path, values)) if values.len() != len => {
                    return Err(TrainerError::Weight {
                        path: path.clone(),
                        expected: len,
                        found: values.len(),
                    });
                }
                Some((.., values)) => self.store.write(id, values)?,
                None => self.store.write(id, &vec![0.0; len])?,
            }
        }
        Ok(self.device.health()?)
    }

    /// The weights in fp32, named as PyTorch does, running statistics included.
    ///
    /// # Errors
    /// When the device fails.
    pub fn weights(&self) -> Result<Vec<NamedWeight>, TrainerError> {
        Ok(self.weights_of(&self.state()?))
    }

    /// The weights in a state of this trainer.
    pub fn weights_of(&self, state: &State) -> Vec<NamedWeight> {
        weights_of(&self.config.model, state)
            .expect("a state of this trainer has what its model has")
    }

    /// What the trainer has learned.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<State, TrainerError> {
        let state = self.store.state();
        self.device.health()?;
        Ok(state)
    }

    /// Continues from stored state.
    ///
    /// # Errors
    /// When it is another model's, and nothing is changed then; when the device fails.
    pub fn restore(&mut self, progress: Progress, state: &State) -> Result<(), TrainerError> {
        self.store.layout().check(state)?;
        self.store.restore(state)?;
        self.device.health()?;
        self.progress = progress;
        Ok(())
    }

    /// Moves the running statistics by those of the batches of a step, in order, each with the rows it was taken over.
    pub(super) fn add_statistics(
        &mut self,
        statistics: &[(Statistic, Vec<f32>, usize)],
    ) -> Result<(), TrainerError> {
        for (statistic, of_batch, present) in statistics {
            let path = &self.config.model.buffers[statistic.buffer].path;
            let Some(id) = self.store.find(BUFFER, path) else {
                continue;
            };
            let running = self.store.read(id);
            let next: Vec<f32> = running
                .iter()
                .zip(of_batch)
                .map(|(&running, &batch)| statistic.update(running, batch, *present))
                .collect();
            self.store.write(id, &next)?;
        }
        Ok(())
    }
}
