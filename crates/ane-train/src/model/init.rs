//! Initial values of parameters.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::sync::Arc;

/// How a parameter begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// Uniform in ± this.
    Uniform(f64),
    /// Normal, of mean 0 and this deviation.
    Normal(f64),
    /// All equal to this.
    Constant(f64),
    /// These, in order, as many as the tensor has elements: of a model that was made elsewhere.
    Values(Arc<[f32]>),
}

impl Init {
    /// PyTorch's `reset_parameters` of linear and convolution layers, for weights and biases alike: uniform in
    /// ±1/√fan_in. Kaiming uniform with a = √5 comes to the same bound.
    pub fn fan_in(fan_in: usize) -> Self {
        Self::Uniform(1.0 / (fan_in.max(1) as f64).sqrt())
    }

    /// The values of the parameter at this position of a model.
    pub(super) fn values(&self, n: usize, seed: u64, position: usize) -> Vec<f32> {
        match self {
            Self::Constant(x) => vec![*x as f32; n],
            Self::Values(values) => values.to_vec(),
            Self::Normal(deviation) => {
                let mut rng = stream(seed, position);
                let mut draw = || StandardNormal.sample(&mut rng);
                (0..n)
                    .map(|_| {
                        let x: f64 = draw();
                        (x * deviation) as f32
                    })
                    .collect()
            }
            Self::Uniform(bound) => {
                let mut rng = stream(seed, position);
                (0..n)
                    .map(|_| {
                        // 24 random bits: every f32 in [0, 1) of that spacing is as likely.
                        let unit = f64::from(rng.next_u32() >> 8) / f64::from(1 << 24);
                        ((2.0 * unit - 1.0) * bound) as f32
                    })
                    .collect()
            }
        }
    }
}

/// The stream of random numbers of a position.
fn stream(seed: u64, position: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(position as u64);
    rng
}
