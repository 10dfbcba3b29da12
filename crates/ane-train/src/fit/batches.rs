//! Examples batch by batch, through a device that may fail.

use super::Examples;
use crate::{data::Batch, error::TrainerError, recovery::Faults, store::State, trainer::Trainer};

/// Computes something of every batch of the examples, in order, and gives it to `take` with the batch and the indices of its
/// examples; after a fault that is survived the same batch is computed again.
///
/// # Errors
/// When an example cannot be read, a batch does not fit the model, or the device fails for good.
pub(super) fn each_batch<T>(
    trainer: &mut Trainer,
    examples: &Examples,
    faults: &mut Faults,
    compute: fn(&mut Trainer, &Batch) -> Result<T, TrainerError>,
    mut take: impl FnMut(&[u32], &Batch, T),
) -> Result<(), TrainerError> {
    let size = trainer.config().model.batch;
    let progress = *trainer.progress();
    let state = match faults.recovery() {
        Some(_) => trainer.state()?,
        None => State::new(),
    };
    let mut batch = Batch::default();
    for chunk in examples.indices.chunks(size) {
        let of_chunk: Vec<(u32, u64)> = chunk.iter().map(|&i| (i, 0)).collect();
        batch.restart(size, chunk.len());
        examples.data.fill(&of_chunk, &mut batch)?;
        let result = loop {
            match compute(trainer, &batch) {
                Ok(result) => break result,
                Err(e) => {
                    faults.survive(e, trainer)?;
                    faults.restore(trainer, progress, &state)?;
                }
            }
        };
        faults.got_further();
        take(chunk, &batch, result);
    }
    Ok(())
}
