//! A model's outputs for many examples.

use super::{Examples, batches::each_batch};
use crate::{error::TrainerError, recovery::Faults, trainer::Trainer};

/// Gives `take` every example with the row of the model's first output, in order; after a fault that is survived it goes on
/// with the same batch.
///
/// # Errors
/// When an example cannot be read, a batch does not fit the model, or the device fails for good.
pub fn predict(
    trainer: &mut Trainer,
    examples: &Examples,
    faults: &mut Faults,
    take: &mut dyn FnMut(u32, &[f32]),
) -> Result<(), TrainerError> {
    each_batch(
        trainer,
        examples,
        faults,
        Trainer::predict,
        |chunk, _, outputs| {
            let Some((_, rows)) = outputs.first() else {
                return;
            };
            let width = (rows.len() / chunk.len()).max(1);
            for (&example, row) in chunk.iter().zip(rows.chunks_exact(width)) {
                take(example, row);
            }
        },
    )
}
