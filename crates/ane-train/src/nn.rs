//! Models: layers with PyTorch's names and initial values, as graph builders.

mod activation;
mod linear;
mod sequential;

pub use activation::Activation;
pub use linear::Linear;
pub use sequential::{Layer, ParseSpecError, Sequential};

use ane_ir::Shape;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// PyTorch's name in the model's `state_dict`, such as `0.weight`.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Shape,
    /// Initial values are uniform in ± this.
    pub init_bound: f64,
}

impl Parameter {
    /// Initial values for a seed; every parameter draws from a stream of its own, so models that share a prefix share
    /// its values.
    pub fn initial(&self, seed: u64, position: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(position as u64);
        (0..self.shape.numel())
            .map(|_| {
                // 24 random bits: every f32 in [0, 1) of that spacing is as likely.
                let unit = f64::from(rng.next_u32() >> 8) / f64::from(1 << 24);
                ((2.0 * unit - 1.0) * self.init_bound) as f32
            })
            .collect()
    }

    /// The name as a MIL identifier: `0.weight` becomes `0_weight`, to be prefixed.
    pub fn identifier(&self) -> String {
        self.name.replace('.', "_")
    }
}
