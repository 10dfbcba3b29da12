//! Batches gathered on a thread of their own, in the bits the device wants.

use super::{Dataset, sampler::Sampler};
use crate::loss::Loss;
use ane_engine::simd::{Isa, Kernel, Lanes, MOST_LANES, dispatch};
use half::f16;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

/// Examples ready for a step; fp16 bit patterns. Missing examples of a partial batch have weight 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Epoch and number of the batch within it.
    pub position: (u64, usize),
    /// Normalised examples [B, features].
    pub x: Vec<u16>,
    /// Target rows [B, classes].
    pub target: Vec<u16>,
    /// Example weights, `[B]`.
    pub weight: Vec<u16>,
    /// Classes of the examples there are.
    pub labels: Vec<u8>,
}

/// Turns examples of a data set into batches.
#[derive(Debug)]
pub struct Collator {
    data: Arc<Dataset>,
    batch: usize,
    targets: Vec<Vec<u16>>,
    isa: Isa,
}

/// fp16 1.0
const ONE: u16 = 0x3C00;

impl Collator {
    /// Batches of `batch` examples with the targets of `loss`.
    pub fn new(data: Arc<Dataset>, batch: usize, loss: Loss) -> Self {
        let bits = |row: Vec<f32>| {
            row.into_iter()
                .map(|x| f16::from_f32(x).to_bits())
                .collect()
        };
        Self {
            targets: (0..data.classes)
                .map(|c| bits(loss.target_row(c, data.classes)))
                .collect(),
            data,
            batch,
            isa: Isa::detect(),
        }
    }

    /// Fills `out` with `examples`, at most a batch of them.
    pub fn fill(&self, examples: &[u32], out: &mut Batch) {
        let (d, k) = (self.data.example_len, self.data.classes);
        out.x.resize(self.batch * d, 0);
        out.target.resize(self.batch * k, 0);
        out.weight.clear();
        out.weight.resize(self.batch, 0);
        out.labels.clear();
        let scale = 1.0 / (255.0 * self.data.std);
        let shift = self.data.mean / self.data.std;
        for (i, &e) in examples.iter().enumerate() {
            let e = e as usize;
            dispatch(
                self.isa,
                Normalise {
                    pixels: self.data.image(e),
                    scale,
                    shift,
                    out: &mut out.x[i * d..(i + 1) * d],
                },
            );
            let label = self.data.labels[e];
            out.target[i * k..(i + 1) * k].copy_from_slice(&self.targets[usize::from(label)]);
            out.weight[i] = ONE;
            out.labels.push(label);
        }
        // Padding must be finite and its targets a distribution, or 0 · loss would not be 0.
        for i in examples.len()..self.batch {
            out.x[i * d..(i + 1) * d].fill(0);
            out.target[i * k..(i + 1) * k].copy_from_slice(&self.targets[0]);
        }
    }
}

/// pixel · scale − shift, rounded to fp16.
struct Normalise<'a> {
    pixels: &'a [u8],
    scale: f32,
    shift: f32,
    out: &'a mut [u16],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (scale, shift) = (s.splat(self.scale), s.splat(self.shift));
        let whole = self.pixels.len() / S::N * S::N;
        let (pixels, rest) = self.pixels.split_at(whole);
        let (out, out_rest) = self.out.split_at_mut(whole);
        for (pixels, out) in pixels.chunks_exact(S::N).zip(out.chunks_exact_mut(S::N)) {
            s.store_f16(out, s.sub(s.mul(s.load_u8(pixels), scale), shift));
        }
        if !rest.is_empty() {
            let (mut wide, mut narrow) = ([0; MOST_LANES], [0; MOST_LANES]);
            wide[..rest.len()].copy_from_slice(rest);
            s.store_f16(&mut narrow, s.sub(s.mul(s.load_u8(&wide), scale), shift));
            out_rest.copy_from_slice(&narrow[..rest.len()]);
        }
    }
}

/// Batches ahead of the training thread.
const AHEAD: usize = 4;

/// A thread that gathers the batches of a range of epochs in order.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Batch>>,
    used: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Gathers from batch `first` of epoch `epoch` to the end of epoch `epochs - 1`.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(
        collator: Collator,
        sampler: Sampler,
        (epoch, first): (u64, usize),
        epochs: u64,
    ) -> std::io::Result<Self> {
        let (send, batches) = sync_channel(AHEAD);
        let (used, spare) = channel();
        let thread = std::thread::Builder::new()
            .name("ane-loader".into())
            .spawn(move || gather(&collator, &sampler, (epoch, first), epochs, &send, &spare))?;
        Ok(Self {
            batches: Some(batches),
            used,
            thread: Some(thread),
        })
    }

    /// The next batch, `None` after the last.
    pub fn next_batch(&self) -> Option<Batch> {
        self.batches.as_ref()?.recv().ok()
    }

    /// Gives a batch back for its memory.
    pub fn recycle(&self, batch: Batch) {
        // The thread may have gathered its last batch already.
        let _ = self.used.send(batch);
    }
}

fn gather(
    collator: &Collator,
    sampler: &Sampler,
    (epoch, first): (u64, usize),
    epochs: u64,
    send: &SyncSender<Batch>,
    spare: &Receiver<Batch>,
) {
    let mut start = first;
    for epoch in epoch..epochs {
        let order = sampler.epoch(epoch);
        for (i, examples) in order.chunks(sampler.batch_len()).enumerate().skip(start) {
            let mut batch = spare.try_recv().unwrap_or_default();
            batch.position = (epoch, i);
            collator.fill(examples, &mut batch);
            if send.send(batch).is_err() {
                return; // The trainer has stopped.
            }
        }
        start = 0;
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
    use crate::data::Split;

    fn tiny(n: usize) -> Arc<Dataset> {
        Arc::new(Dataset {
            name: "tiny",
            split: Split::Train,
            class_names: &["a", "b"],
            classes: 2,
            example_shape: [1, 3, 7],
            example_len: 21,
            images: (0..n * 21).map(|i| (i * 37 % 256) as u8).collect(),
            labels: (0..n).map(|i| (i % 2) as u8).collect(),
            mean: 0.25,
            std: 0.5,
        })
    }

    #[test]
    fn examples_are_normalised_and_padding_weighs_nothing() {
        let data = tiny(5);
        let c = Collator::new(
            data.clone(),
            4,
            Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
        );
        let mut b = Batch::default();
        c.fill(&[3, 1, 4], &mut b);
        let half = |bits: u16| f16::from_bits(bits).to_f32();
        for (i, &e) in [3_usize, 1, 4].iter().enumerate() {
            for (j, &p) in data.image(e).iter().enumerate() {
                let want = (f32::from(p) / 255.0 - 0.25) / 0.5;
                assert!((half(b.x[i * 21 + j]) - want).abs() < 1e-3);
            }
        }
        assert_eq!(
            b.weight.iter().map(|&w| half(w)).collect::<Vec<_>>(),
            [1.0, 1.0, 1.0, 0.0]
        );
        assert_eq!(b.labels, [1, 1, 0]);
        assert_eq!(half(b.target[0]), 0.0);
        assert_eq!(half(b.target[1]), 1.0);
    }

    #[test]
    fn a_loader_can_start_anywhere() {
        let loss = Loss::CrossEntropy {
            label_smoothing: 0.1,
        };
        let all = |at: (u64, usize)| {
            let c = Collator::new(tiny(10), 4, loss);
            let s = Sampler::new((0..10).collect(), 4, 1);
            let loader = Loader::start(c, s, at, 2).unwrap();
            let mut found = Vec::new();
            while let Some(b) = loader.next_batch() {
                found.push(b.clone());
                loader.recycle(b);
            }
            found
        };
        let whole = all((0, 0));
        assert_eq!(whole.len(), 6);
        assert_eq!(all((1, 1)), whole[4..]);
    }
}
