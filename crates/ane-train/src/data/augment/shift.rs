//! Moves an image by up to so many rows and columns; what comes in is black.

use super::{Amount, Image, Transform, below};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Shift;

impl Transform for Shift {
    fn name(&self) -> &'static str {
        "shift"
    }

    fn amount(&self) -> Option<Amount> {
        Some(Amount {
            what: "PIXELS",
            most: 1_024.0,
        })
    }

    fn apply(&self, image: &mut Image<'_>, amount: f32, rng: &mut ChaCha8Rng) {
        let most = amount as usize;
        let [_, rows, columns] = image.shape;
        let [down, right] = [(); 2].map(|()| below(rng, 2 * most + 1));
        image.redraw(|before, [channel, y, x]| {
            let from =
                |at: usize, by: usize, len: usize| (at + most).checked_sub(by).filter(|&i| i < len);
            let (y, x) = (from(y, down, rows)?, from(x, right, columns)?);
            Some(before[(channel * rows + y) * columns + x])
        });
    }
}
