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
        let black = image.black.to_vec();
        image.redraw(|before, [channel, y, x]| {
            let (dy, dx) = (y as f32 - middle[0], x as f32 - middle[1]);
            let from = [
                cos * dy - sin * dx + middle[0],
                sin * dy + cos * dx + middle[1],
            ];
            let pixel = |y: f32, x: f32| {
                let is_inside = y >= 0.0 && x >= 0.0 && y < rows as f32 && x < columns as f32;
                match is_inside {
                    true => before[(channel * rows + y as usize) * columns + x as usize],
                    false => black[channel],
                }
            };
            let [top, left] = from.map(f32::floor);
            let [down, right] = [from[0] - top, from[1] - left];
            let across = |y: f32| {
                let (a, b) = (pixel(y, left), pixel(y, left + 1.0));
                a + (b - a) * right
            };
            let (a, b) = (across(top), across(top + 1.0));
            Some(a + (b - a) * down)
        });
    }
}
