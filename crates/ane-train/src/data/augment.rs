//! Images that are trained on a little differently each time: shifted, mirrored, turned, covered, noisy.
//!
//! What becomes of an example is a function of seed, example and epoch, so that a run that goes on, or repeats a step, sees the
//! same pixels, on whatever thread they are made.
//!
//! A new transform is a file in `augment/` and its line in [`ALL`]. What blends examples of a batch, mixup, comes after them.

mod crop;
mod cutout;
mod flip;
mod mixup;
mod noise;
mod rotate;
mod shift;

pub use mixup::Mixed;

use super::{Batch, Dataset, Field, FillError, IMAGE, Values, description::Input};
use half::{f16, slice::HalfBitsSliceExt, slice::HalfFloatSliceExt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// What keeps these draws apart from the others of a seed.
const OWN: u64 = 0xA06_4E27;

/// Something that changes an image.
trait Transform: Send + Sync + fmt::Debug {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What its number is, where it has one, with the numbers that it may be.
    fn amount(&self) -> Option<Amount>;
    /// Changes an image, by this amount.
    fn apply(&self, image: &mut Image<'_>, amount: f32, rng: &mut ChaCha8Rng);
}

/// The number of a transform.
#[derive(Debug, Clone, Copy)]
struct Amount {
    what: &'static str,
    most: f32,
}

/// Every transform, in the order in which they are done.
const ALL: [&dyn Transform; 6] = [
    &rotate::Rotate,
    &crop::Crop,
    &shift::Shift,
    &flip::Flip,
    &noise::Noise,
    &cutout::Cutout,
];

/// Pixels of an image as inputs have them, and what is black in each channel.
#[derive(Debug)]
struct Image<'a> {
    pixels: &'a mut [f32],
    shape: [usize; 3],
    black: &'a [f32],
    /// Memory for another image.
    spare: &'a mut Vec<f32>,
}

impl Image<'_> {
    /// Makes every pixel what `of` says of its channel, row and column, given the image as it was.
    fn redraw(&mut self, of: impl Fn(&[f32], [usize; 3]) -> Option<f32>) {
        let [_, rows, columns] = self.shape;
        self.spare.clear();
        self.spare.extend_from_slice(self.pixels);
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let channel = i / (rows * columns);
            let at = [channel, i / columns % rows, i % columns];
            *pixel = of(self.spare, at).unwrap_or(self.black[channel]);
        }
    }

    /// Makes every pixel what the image as it was has at the row and column that `from` says of its own, between pixels by
    /// bilinear interpolation; outside of the image is black.
    fn redraw_between(&mut self, from: impl Fn([f32; 2]) -> [f32; 2]) {
        let [_, rows, columns] = self.shape;
        let black = self.black;
        self.redraw(|before, [channel, y, x]| {
            let from = from([y as f32, x as f32]);
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

/// A number from −1 to 1.
fn either_way(rng: &mut ChaCha8Rng) -> f32 {
    // 24 bits are what f32 holds.
    (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// A whole number below `n`, of which none is likelier by more than 2⁻³².
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

/// What is done to the images that are trained on, as `flip` or `shift=2,rotate=10`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Augmentation(Vec<(&'static str, f32)>);

impl Augmentation {
    /// Whether nothing is done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// α of mixup, where batches are blended with themselves.
    pub fn mixup(&self) -> Option<f32> {
        let found = self.0.iter().find(|(name, _)| *name == mixup::NAME);
        found.map(|(_, alpha)| *alpha)
    }

    /// What transforms there are, for people.
    pub fn known() -> String {
        let one = |(name, amount): (&str, Option<Amount>)| match amount {
            Some(amount) => format!("{name}={}", amount.what),
            None => name.to_owned(),
        };
        named().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |&(name, x): &(&str, f32)| match named().find(|(n, _)| *n == name) {
            Some((_, Some(_))) => format!("{name}={x}"),
            _ => name.to_owned(),
        };
        f.write_str(&self.0.iter().map(one).collect::<Vec<_>>().join(","))
    }
}

/// Every name with what its number is, in the order in which things are done.
fn named() -> impl Iterator<Item = (&'static str, Option<Amount>)> {
    let transforms = ALL.into_iter().map(|t| (t.name(), t.amount()));
    transforms.chain([(mixup::NAME, Some(mixup::AMOUNT))])
}

fn find(name: &str) -> Option<&'static dyn Transform> {
    ALL.into_iter().find(|t| t.name() == name)
}

impl FromStr for Augmentation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, number) = match part.split_once('=') {
                Some((name, number)) => (name.trim(), Some(number.trim())),
                None => (part, None),
            };
            let known = named().find(|(known, _)| *known == name);
            let (name, amount) = known.ok_or_else(|| {
                format!(
                    "no transform is called `{name}`; there are {}",
                    Self::known()
                )
            })?;
            let amount = match (amount, number) {
                (None, None) => 1.0,
                (None, Some(_)) => return Err(format!("`{name}` takes no number")),
                (Some(amount), number) => {
                    let x = number.and_then(|n| n.parse().ok());
                    let x = x.filter(|&x: &f32| x > 0.0 && x <= amount.most);
                    x.ok_or_else(|| {
                        format!(
                            "`{name}` takes {} above 0 and up to {}",
                            amount.what, amount.most
                        )
                    })?
                }
            };
            if all.iter().any(|(n, _)| *n == name) {
                return Err(format!("`{name}` is there twice"));
            }
            all.push((name, amount));
        }
        // Whatever order they are named in, they are one augmentation.
        all.sort_by_key(|(name, _)| named().position(|(n, _)| n == *name));
        Ok(Self(all))
    }
}

impl TryFrom<String> for Augmentation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Augmentation> for String {
    fn from(augmentation: Augmentation) -> Self {
        augmentation.to_string()
    }
}

/// A data set whose images are changed anew in every epoch.
#[derive(Debug)]
pub struct Augmented {
    inner: Arc<dyn Dataset>,
    transforms: Vec<(&'static dyn Transform, f32)>,
    shape: [usize; 3],
    black: Vec<f32>,
    seed: u64,
}

impl Augmented {
    /// The same examples with their images changed; none where they are no images.
    pub fn new(
        inner: Arc<dyn Dataset>,
        augmentation: &Augmentation,
        input: &Input,
        seed: u64,
    ) -> Option<Self> {
        let Input::Image { shape, scaling, .. } = input else {
            return None;
        };
        let black = |channel| {
            let (mean, std) = scaling.of(channel);
            -mean / std
        };
        let named = augmentation.0.iter();
        Some(Self {
            inner,
            transforms: named
                .filter_map(|&(name, x)| Some((find(name)?, x)))
                .collect(),
            shape: *shape,
            black: (0..shape[0]).map(black).collect(),
            seed,
        })
    }
}

impl Dataset for Augmented {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn schema(&self) -> Vec<Field> {
        self.inner.schema()
    }

    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        self.inner.fill(examples, batch)?;
        let width: usize = self.shape.iter().product();
        let is_changed = !self.transforms.is_empty();
        if !is_changed || !matches!(batch.get(IMAGE), Some(Values::Fp16(_))) {
            return Ok(());
        }
        let (mut pixels, mut spare) = (vec![0.0; width], Vec::new());
        let rows = batch.fp16(IMAGE, width).chunks_exact_mut(width);
        for (row, &(example, epoch)) in rows.zip(examples) {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ OWN);
            rng.set_stream(epoch.wrapping_shl(32) | u64::from(example));
            let row = row.reinterpret_cast_mut::<f16>();
            row.convert_to_f32_slice(&mut pixels);
            let mut image = Image {
                pixels: &mut pixels,
                shape: self.shape,
                black: &self.black,
                spare: &mut spare,
            };
            for (transform, amount) in &self.transforms {
                transform.apply(&mut image, *amount, &mut rng);
            }
            row.convert_from_f32_slice(&pixels);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
