//! Which examples of a data set a run trains on, and which choose its best state.

use super::{ConfigError, RunConfig};
use crate::data::{Sampler, fills_a_batch, sampler};

/// The examples of a training set by what a run does with them.
#[derive(Debug, Clone)]
pub struct Division {
    /// Those that are trained on, in the order of every epoch.
    pub sampler: Sampler,
    /// Those that choose the best state; none where all are trained on.
    pub validation: Vec<u32>,
}

impl RunConfig {
    /// Divides a training set of so many examples, by the seed.
    ///
    /// # Errors
    /// When there are not enough of them for the validation split, or what is left fills no batch.
    pub fn divide(&self, examples: usize) -> Result<Division, ConfigError> {
        let held_out = if self.whole {
            0
        } else {
            self.validation.of(examples)?
        };
        let (train, validation) = sampler::split(examples, held_out, self.seed);
        fills_a_batch(train.len(), self.batch)?;
        Ok(Division {
            sampler: Sampler::new(train, self.batch, self.seed),
            validation,
        })
    }
}
