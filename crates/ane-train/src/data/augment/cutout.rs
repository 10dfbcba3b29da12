//! Covers a square of so many pixels with black, anywhere (DeVries and Taylor 2017).

use super::{Amount, Image, Transform, below};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Cutout;

impl Transform for Cutout {
    fn name(&self) -> &'static str {
        "cutout"
    }

    fn amount(&self) -> Option<Amount> {
        Some(Amount {
            what: "PIXELS",
            most: 1_024.0,
        })
    }

    fn apply(&self, image: &mut Image<'_>, amount: f32, rng: &mut ChaCha8Rng) {
        let side = amount as usize;
        let [_, rows, columns] = image.shape;
        // Its middle is in the image, so that it may reach beyond.
        let [top, left] = [rows, columns].map(|len| below(rng, len) as i64 - side as i64 / 2);
        let is_covered = |at: usize, from: i64| (from..from + side as i64).contains(&(at as i64));
        image.redraw(|before, [channel, y, x]| {
            if is_covered(y, top) && is_covered(x, left) {
                return None;
            }
            Some(before[(channel * rows + y) * columns + x])
        });
    }
}
