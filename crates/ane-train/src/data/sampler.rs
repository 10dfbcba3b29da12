//! The order of examples: seeded, seekable, the same on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Stream of the generator that splits off the validation examples; epochs use the streams above it.
const SPLIT_STREAM: u64 = 1 << 32;

/// Indices `0..n` in a random order that depends on `seed` and `stream` alone (Fisher and Yates, Durstenfeld 1964).
fn permutation(n: usize, seed: u64, stream: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut order: Vec<u32> =
        (0..u32::try_from(n).expect("data sets are far smaller than 2^32")).collect();
    shuffle(&mut order, &mut rng);
    order
}

/// Brings a list into a random order.
pub(super) fn shuffle(order: &mut [u32], rng: &mut ChaCha8Rng) {
    for i in (1..order.len()).rev() {
        order.swap(i, below(rng, i as u64 + 1) as usize);
    }
}

/// Uniform in `0..n`, without bias: draws beyond the largest multiple of n are repeated.
fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    let limit = u64::MAX - u64::MAX % n;
    loop {
        let draw = rng.next_u64();
        if draw < limit {
            return draw % n;
        }
    }
}

/// Training and validation examples of a training set of `n`: `held_out` of them chosen by the seed.
pub fn split(n: usize, held_out: usize, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let order = permutation(n, seed, SPLIT_STREAM);
    let (validation, train) = order.split_at(held_out.min(n));
    let sorted = |part: &[u32]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part
    };
    (sorted(train), sorted(validation))
}

/// Batches of an epoch, by number.
#[derive(Debug, Clone)]
pub struct Sampler {
    examples: Vec<u32>,
    batch: usize,
    seed: u64,
}

impl Sampler {
    /// Shuffles `examples` anew for every epoch.
    pub fn new(examples: Vec<u32>, batch: usize, seed: u64) -> Self {
        Self {
            examples,
            batch,
            seed,
        }
    }

    /// The examples, in order.
    pub fn into_examples(self) -> Vec<u32> {
        self.examples
    }

    /// Examples of a whole batch.
    pub fn batch_len(&self) -> usize {
        self.batch
    }

    /// Batches of an epoch, the last one possibly partial.
    pub fn batches(&self) -> usize {
        self.examples.len().div_ceil(self.batch)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The examples of epoch `epoch`, in order.
    pub fn epoch(&self, epoch: u64) -> Vec<u32> {
        permutation(self.examples.len(), self.seed, epoch)
            .into_iter()
            .map(|i| self.examples[i as usize])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_permutations_that_differ_and_repeat() {
        let s = Sampler::new((0..1000).collect(), 128, 7);
        let (a, b) = (s.epoch(0), s.epoch(1));
        assert_ne!(a, b);
        assert_eq!(a, s.epoch(0));
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(s.batches(), 8);
    }

    #[test]
    fn the_split_is_disjoint_and_complete() {
        let (train, validation) = split(60, 5, 3);
        assert_eq!((train.len(), validation.len()), (55, 5));
        assert!(validation.iter().all(|v| !train.contains(v)));
        assert_ne!(split(60, 5, 3).1, split(60, 5, 4).1);
    }

    #[test]
    fn the_order_is_the_same_on_every_machine() {
        assert_eq!(permutation(8, 1, 0), [0, 2, 3, 4, 5, 6, 7, 1]);
    }
}
