//! Draws a part of an image, whose sides are a share of the image's from the given one to all, at the size of the whole, between
//! pixels by bilinear interpolation. Both sides have the same share.

use super::{Amount, Image, Transform, either_way};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Crop;

impl Transform for Crop {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn amount(&self) -> Option<Amount> {
        Some(Amount {
            what: "SHARE",
            most: 1.0,
        })
    }

    fn apply(&self, image: &mut Image<'_>, amount: f32, rng: &mut ChaCha8Rng) {
        let mut unit = || (either_way(rng) + 1.0) / 2.0;
        let share = amount + (1.0 - amount) * unit();
        let from = [unit(), unit()];
        let [_, rows, columns] = image.shape;
        // The corners of the part are pixels of the image, so that a share of 1 changes nothing.
        let start = [rows, columns].map(|side| (side as f32 - 1.0) * (1.0 - share));
        image.redraw_between(|[y, x]| {
            [
                start[0] * from[0] + share * y,
                start[1] * from[1] + share * x,
            ]
        });
    }
}
