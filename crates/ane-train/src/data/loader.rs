//! Batches gathered on a thread of their own.

use super::{Batch, Dataset, FillError, sampler::Sampler};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

/// Updates whose batches are gathered ahead of the training thread.
const AHEAD: usize = 4;

/// The batches of an update, or why one of them cannot be gathered.
type Update = Result<Vec<Batch>, FillError>;

/// Delivers the batches of all epochs from a position on, gathered ahead of time on a thread of its own.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Update>>,
    used: Sender<Vec<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Updates whose batches are there at once: those ahead, the one that is being gathered, and the one that is used.
    pub const UPDATES: usize = AHEAD + 2;

    /// Starts at batch `first` of `epoch`, which begins an update, and ends after `epochs` in all. `per_update` batches
    /// make an update; the last of an epoch may be made of fewer.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        data: Arc<dyn Dataset>,
        sampler: Sampler,
        per_update: usize,
        (epoch, first): (u64, usize),
        epochs: u64,
    ) -> std::io::Result<Self> {
        let (used, spare) = channel();
        let (send, batches) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new()
            .name("ane-loader".into())
            .spawn(move || {
                gather(
                    &*data,
                    &sampler,
                    per_update.max(1),
                    (epoch, first),
                    epochs,
                    &send,
                    &spare,
                );
            })?;
        Ok(Self {
            batches: Some(batches),
            used,
            thread: Some(thread),
        })
    }

    /// The batches of the next update, `None` after the last or after an error.
    ///
    /// # Errors
    /// When an example cannot be read.
    pub fn next_update(&self) -> Option<Update> {
        self.batches.as_ref()?.recv().ok()
    }

    /// Gives batches back for their memory.
    pub fn recycle(&self, batches: Vec<Batch>) {
        // The thread may have gathered its last batch already.
        let _ = self.used.send(batches);
    }
}

fn gather(
    data: &dyn Dataset,
    sampler: &Sampler,
    per_update: usize,
    (epoch, first): (u64, usize),
    epochs: u64,
    send: &SyncSender<Update>,
    spare: &Receiver<Vec<Batch>>,
) {
    let size = sampler.batch_len();
    let mut start = first;
    let mut examples: Vec<(u32, u64)> = Vec::new();
    for epoch in epoch..epochs {
        let order = sampler.epoch(epoch);
        let chunks: Vec<&[u32]> = order.chunks(size).collect();
        let from = start.min(chunks.len());
        for (i, of_update) in chunks[from..].chunks(per_update).enumerate() {
            let mut batches = spare.try_recv().unwrap_or_default();
            batches.resize_with(of_update.len(), Batch::default);
            for (j, (chunk, batch)) in of_update.iter().zip(&mut batches).enumerate() {
                batch.restart(size, chunk.len());
                batch.position = (epoch, from + i * per_update + j);
                examples.clear();
                examples.extend(chunk.iter().map(|&e| (e, epoch)));
                if let Err(e) = data.fill(&examples, batch) {
                    // Nobody listens where the trainer has stopped.
                    let _ = send.send(Err(e));
                    return;
                }
            }
            share_divisor(&mut batches);
            if send.send(Ok(batches)).is_err() {
                return; // The trainer has stopped.
            }
        }
        start = 0;
    }
}

/// Gives every batch of an update the weight of all its examples as the divisor of the mean.
pub fn share_divisor(batches: &mut [Batch]) {
    let weights = batches.iter().flat_map(|b| b.weights().to_vec());
    let divisor: f32 = weights.sum();
    for batch in batches {
        batch.divisor = divisor;
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has shown as an early end of the batches.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Field, Values};
    use ane_ir::DType;

    /// Examples that say which they are and in which epoch.
    #[derive(Debug)]
    struct Numbered {
        examples: usize,
        lost: usize,
    }

    impl Dataset for Numbered {
        fn len(&self) -> usize {
            self.examples
        }
        fn schema(&self) -> Vec<Field> {
            vec![Field::new("x", DType::Int32, [])]
        }
        fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
            if let Some(&(example, _)) = examples.iter().find(|(i, _)| *i as usize == self.lost) {
                return Err(FillError {
                    example,
                    path: "numbers".into(),
                    source: std::io::ErrorKind::NotFound.into(),
                });
            }
            for (out, (i, epoch)) in batch.int32("x", 1).iter_mut().zip(examples) {
                *out = (100 * epoch + u64::from(*i)) as i32;
            }
            Ok(())
        }
    }

    fn all(at: (u64, usize), per_update: usize) -> Vec<Vec<Batch>> {
        let data = Arc::new(Numbered {
            examples: 10,
            lost: 10,
        });
        let s = Sampler::new((0..10).collect(), 4, 1);
        let loader = Loader::start(data, s, per_update, at, 2).unwrap();
        let mut found = Vec::new();
        while let Some(b) = loader.next_update() {
            let b = b.unwrap();
            found.push(b.clone());
            loader.recycle(b);
        }
        found
    }

    #[test]
    fn a_loader_can_start_anywhere() {
        let whole = all((0, 0), 1);
        assert_eq!(whole.len(), 6);
        assert_eq!(all((1, 1), 1), whole[4..]);
        let last = &whole[5][0];
        assert_eq!((last.position, last.present()), ((1, 2), 2));
        let Some(Values::Int32(x)) = last.get("x") else {
            panic!("{last:?}")
        };
        assert!(x[..2].iter().all(|&x| x >= 100) && x[2..] == [0, 0]);
    }

    #[test]
    fn an_example_that_cannot_be_read_ends_the_batches_with_its_name() {
        let data = Arc::new(Numbered {
            examples: 10,
            lost: 7,
        });
        let s = Sampler::new((0..10).collect(), 4, 1);
        let loader = Loader::start(data, s, 1, (0, 0), 1).unwrap();
        let mut last = None;
        while let Some(update) = loader.next_update() {
            last = Some(update);
        }
        let error = last.unwrap().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read example 8 of `numbers`"),
            "{error}"
        );
    }

    #[test]
    fn the_batches_of_an_update_share_the_divisor_of_all_their_examples() {
        let updates = all((0, 0), 2);
        let sizes: Vec<usize> = updates.iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 2, 1]);
        let divisors: Vec<f32> = updates.iter().flatten().map(|b| b.divisor).collect();
        assert_eq!(divisors, [8.0, 8.0, 2.0, 8.0, 8.0, 2.0]);
        assert_eq!(all((1, 2), 2), updates[3..]);
    }
}
