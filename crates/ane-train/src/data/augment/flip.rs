//! Mirrors every other image, left for right.

use super::{Amount, Image, Transform};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Flip;

impl Transform for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn amount(&self) -> Option<Amount> {
        None
    }

    fn apply(&self, image: &mut Image<'_>, _: f32, rng: &mut ChaCha8Rng) {
        let columns = image.shape[2];
        if rng.next_u32() & 1 == 1 && columns > 0 {
            image
                .pixels
                .chunks_exact_mut(columns)
                .for_each(<[f32]>::reverse);
        }
    }
}
