//! Random numbers of a step, as functions of where they are drawn.
//!
//! Nothing is stored of a generator: a resumed or repeated step draws the same numbers, and layers that share a program
//! differ by their paths.

use crate::{error::TrainerError, model::RandomPort, program::Program};
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Fills the random inputs of a program for batch `batch` of step `step` of a run.
pub(super) fn fill(
    randoms: &[RandomPort],
    program: &Program,
    seed: u64,
    step: u64,
    batch: usize,
) -> Result<(), TrainerError> {
    for random in randoms {
        let mut draw = Draw::new(seed, step, batch, &random.path, random.ordinal);
        let mask: Vec<u16> = (0..random.shape.numel())
            .map(|_| f16::from_f32(random.element(draw.unit())).to_bits())
            .collect();
        program.port(&random.port).copy_in_bits(&mask)?;
    }
    Ok(())
}

/// Fills the random inputs of a program with ones, as if nothing were drawn.
pub(super) fn keep_all(randoms: &[RandomPort], program: &Program) -> Result<(), TrainerError> {
    for random in randoms {
        let ones = vec![1.0; random.shape.numel()];
        program.port(&random.port).copy_in(&ones)?;
    }
    Ok(())
}

/// The numbers of one random input of one batch.
struct Draw(ChaCha8Rng);

impl Draw {
    /// For batch `batch` of step `step` of a run; `ordinal` tells the inputs of a layer apart.
    fn new(seed: u64, step: u64, batch: usize, path: &str, ordinal: usize) -> Self {
        let mut hash = Sha256::new();
        for number in [seed, step, batch as u64, ordinal as u64] {
            hash.update(number.to_le_bytes());
        }
        hash.update(path.as_bytes());
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// A number from [0, 1), a multiple of 2⁻²⁴.
    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32() >> 8) / f64::from(1 << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, step: u64, batch: usize, path: &str, ordinal: usize) -> Vec<f64> {
        let mut draw = Draw::new(seed, step, batch, path, ordinal);
        (0..64).map(|_| draw.unit()).collect()
    }

    #[test]
    fn numbers_depend_on_every_part_of_their_place_and_on_nothing_else() {
        let here = numbers(1, 2, 3, "drop", 0);
        assert_eq!(here, numbers(1, 2, 3, "drop", 0));
        for other in [
            numbers(2, 2, 3, "drop", 0),
            numbers(1, 3, 3, "drop", 0),
            numbers(1, 2, 0, "drop", 0),
            numbers(1, 2, 3, "drop2", 0),
            numbers(1, 2, 3, "drop", 1),
        ] {
            assert_ne!(here, other);
        }
        assert!(here.iter().all(|x| (0.0..1.0).contains(x)));
    }
}
