//! A model's outputs for many examples.

use super::Examples;
use crate::{data::Batch, error::TrainerError, recovery::Faults, store::State, trainer::Trainer};

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
        let outputs = loop {
            match trainer.predict(&batch) {
                Ok(outputs) => break outputs,
                Err(e) => {
                    faults.survive(e, trainer)?;
                    faults.restore(trainer, progress, &state)?;
                }
            }
        };
        faults.got_further();
        let Some((_, rows)) = outputs.first() else {
            continue;
        };
        let width = (rows.len() / chunk.len()).max(1);
        for (&example, row) in chunk.iter().zip(rows.chunks_exact(width)) {
            take(example, row);
        }
    }
    Ok(())
}
