//! Adds noise of this standard deviation to every pixel, in the unit of the inputs.

use super::{Amount, Image, Transform, either_way};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Noise;

impl Transform for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn amount(&self) -> Option<Amount> {
        Some(Amount {
            what: "DEVIATION",
            most: 10.0,
        })
    }

    fn apply(&self, image: &mut Image<'_>, amount: f32, rng: &mut ChaCha8Rng) {
        for pixel in image.pixels.iter_mut() {
            // The sum of three uniform numbers from −1 to 1 has the variance 1, and nearly the shape of Gauss's curve.
            let sum: f32 = (0..3).map(|_| either_way(rng)).sum();
            *pixel += amount * sum;
        }
    }
}
