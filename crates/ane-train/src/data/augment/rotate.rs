//! Turns an image about its middle by up to so many degrees either way, between pixels by bilinear interpolation; what comes in
//! is black.

use super::{Amount, Image, Transform, either_way};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Rotate;

impl Transform for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn amount(&self) -> Option<Amount> {
        Some(Amount {
            what: "DEGREES",
            most: 180.0,
        })
    }

    fn apply(&self, image: &mut Image<'_>, amount: f32, rng: &mut ChaCha8Rng) {
        let (sin, cos) = (either_way(rng) * amount).to_radians().sin_cos();
        let [_, rows, columns] = image.shape;
        let middle = [(rows as f32 - 1.0) / 2.0, (columns as f32 - 1.0) / 2.0];
        image.redraw_between(|[y, x]| {
            let (dy, dx) = (y - middle[0], x - middle[1]);
            [
                cos * dy - sin * dx + middle[0],
                sin * dy + cos * dx + middle[1],
            ]
        });
    }
}
