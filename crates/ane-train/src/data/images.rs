//! Images with a class each: the examples of one split, as bytes in memory.

use std::fmt;

use super::DataError;
use super::catalog::{DatasetSpec, Files, ImageSet, Normalisation};
use super::cifar::Records;
use super::event::FetchEvent;
use super::fetch::{FetchOptions, RawFile, RawFiles, fetch};
use super::idx::{self, IdxError};
use super::{Batch, Dataset, Field, FillError};
use ane_engine::simd::{Isa, Kernel, Lanes, MOST_LANES, dispatch};
use ane_ir::DType;

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a network learns from.
    Train,
    /// What it is judged by.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// The examples of one split.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Name of the data set.
    pub name: &'static str,
    /// Which part of it.
    pub split: Split,
    /// Names of the classes; the index is the label.
    pub class_names: &'static [&'static str],
    /// Number of classes; every label is less.
    pub classes: usize,
    /// Channels, rows and columns of one example.
    pub example_shape: [usize; 3],
    /// Values in one example.
    pub example_len: usize,
    /// `[examples, example_len]`, row-major; 0 to 255.
    pub images: Vec<u8>,
    /// `[examples]`.
    pub labels: Vec<u8>,
    /// What is taken off pixels / 255.
    pub mean: f32,
    /// What the rest is divided by.
    pub std: f32,
}

impl Images {
    /// The same pixels without their mean taken off: what is black stays exactly zero.
    #[must_use]
    pub fn not_centred(self) -> Self {
        Self { mean: 0.0, ..self }
    }

    /// The pixels of example `i`.
    ///
    /// # Panics
    ///
    /// If there is no example `i`.
    #[must_use]
    #[track_caller]
    pub fn image(&self, i: usize) -> &[u8] {
        &self.images[i * self.example_len..][..self.example_len]
    }

    /// How many examples each class has.
    #[must_use]
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }
}

/// Name of the images in a batch.
pub const IMAGE: &str = "x";
/// Name of their classes.
pub const LABEL: &str = "label";
/// Name of the numbers that are to be said where there are no classes.
pub const TARGET: &str = "target";

/// Tensors [`IMAGE`], normalised, of shape [channels, rows, columns], and [`LABEL`].
impl Dataset for Images {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn schema(&self) -> Vec<Field> {
        let names = (0..self.classes).map(|c| {
            let name = self.class_names.get(c).copied();
            name.map_or_else(|| c.to_string(), str::to_owned)
        });
        vec![
            Field::new(IMAGE, DType::Fp16, self.example_shape),
            Field::class(LABEL, names.collect()),
        ]
    }

    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        let isa = Isa::detect();
        let scale = 1.0 / (255.0 * self.std);
        let shift = self.mean / self.std;
        let x = batch.fp16(IMAGE, self.example_len);
        for (&(e, _), out) in examples.iter().zip(x.chunks_exact_mut(self.example_len)) {
            dispatch(
                isa,
                Normalise {
                    pixels: self.image(e as usize),
                    scale,
                    shift,
                    out,
                },
            );
        }
        for (&(e, _), out) in examples.iter().zip(batch.int32(LABEL, 1)) {
            *out = i32::from(self.labels[e as usize]);
        }
        Ok(())
    }
}

/// pixel · scale − shift, rounded to fp16.
struct Normalise<'a> {
    pixels: &'a [u8],
    scale: f32,
    shift: f32,
    out: &'a mut [u16],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (scale, shift) = (s.splat(self.scale), s.splat(self.shift));
        let whole = self.pixels.len() / S::N * S::N;
        let (pixels, rest) = self.pixels.split_at(whole);
        let (out, out_rest) = self.out.split_at_mut(whole);
        for (pixels, out) in pixels.chunks_exact(S::N).zip(out.chunks_exact_mut(S::N)) {
            s.store_f16(out, s.sub(s.mul(s.load_u8(pixels), scale), shift));
        }
        if !rest.is_empty() {
            let (mut wide, mut narrow) = ([0; MOST_LANES], [0; MOST_LANES]);
            wide[..rest.len()].copy_from_slice(rest);
            s.store_f16(&mut narrow, s.sub(s.mul(s.load_u8(&wide), scale), shift));
            out_rest.copy_from_slice(&narrow[..rest.len()]);
        }
    }
}

/// Both splits of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Datasets {
    /// The examples to train with.
    pub train: Images,
    /// The examples to test with.
    pub test: Images,
}

/// Fetches `spec` and reads its files.
///
/// # Errors
///
/// As [`fetch`], or if a file does not hold what the catalog says, or the data set is not one of images that are divided.
pub fn load(
    spec: &DatasetSpec,
    options: &FetchOptions,
    report: &dyn Fn(FetchEvent),
) -> Result<Datasets, DataError> {
    let set = spec
        .images()
        .ok_or(DataError::NotDivided { dataset: spec.name })?;
    let RawFiles { train, test } = fetch(spec, options, report)?;
    Ok(Datasets {
        train: read(spec.name, set, Split::Train, train)?,
        test: read(spec.name, set, Split::Test, test)?,
    })
}

fn read(
    name: &'static str,
    set: &ImageSet,
    split: Split,
    files: Vec<RawFile>,
) -> Result<Images, DataError> {
    let (images, labels) = match &set.split(split).files {
        Files::Idx(_) => read_idx(set, split, files)?,
        Files::Records(_) => {
            let mut records = Records::new();
            for file in files {
                records.add(file.name, &file.content, set.example_shape, set.classes())?;
            }
            (records.pixels, records.labels)
        }
    };
    let expected = set.split(split).examples;
    if labels.len() != expected {
        return Err(DataError::Examples {
            dataset: name,
            split,
            expected,
            found: labels.len(),
        });
    }
    let Normalisation { mean, std } = set.normalisation;
    Ok(Images {
        name,
        split,
        class_names: set.class_names,
        classes: set.classes(),
        example_shape: set.example_shape,
        example_len: set.example_len(),
        images,
        labels,
        mean,
        std,
    })
}

/// Pixels and labels of a file of images and a file of labels.
fn read_idx(
    set: &ImageSet,
    split: Split,
    files: Vec<RawFile>,
) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    let [images_file, labels_file] = <[RawFile; 2]>::try_from(files)
        .expect("a split in IDX has two files, and each was obtained");
    let images = idx::parse_images(images_file.name, images_file.content)?;
    let labels = idx::parse_labels(labels_file.name, labels_file.content, set.classes())?;
    if images.count != labels.len() {
        return Err(DataError::Idx(IdxError::CountsDiffer {
            images_file: images_file.name.to_owned(),
            images: images.count,
            labels_file: labels_file.name.to_owned(),
            labels: labels.len(),
        }));
    }
    // IDX has no axis for channels: a file of several would stack them in its rows.
    let [channels, rows, columns] = set.example_shape;
    let expected = [set.split(split).examples, channels * rows, columns];
    let found = [images.count, images.rows, images.columns];
    if found != expected {
        return Err(DataError::Shape {
            file: images_file.name,
            expected,
            found,
        });
    }
    Ok((images.pixels, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;
    use half::f16;

    #[test]
    fn examples_are_normalised_and_padding_is_zero() {
        let data = Images {
            name: "tiny",
            split: Split::Train,
            class_names: &["a", "b"],
            classes: 2,
            example_shape: [1, 3, 7],
            example_len: 21,
            images: (0..5 * 21).map(|i| (i * 37 % 256) as u8).collect(),
            labels: (0..5).map(|i| (i % 2) as u8).collect(),
            mean: 0.25,
            std: 0.5,
        };
        let mut b = Batch::new(4, 3);
        data.fill(&[(3, 0), (1, 0), (4, 0)], &mut b).unwrap();
        let Some(Values::Fp16(x)) = b.get(IMAGE) else {
            panic!("{b:?}")
        };
        for (i, &e) in [3_usize, 1, 4].iter().enumerate() {
            for (j, &p) in data.image(e).iter().enumerate() {
                let want = (f32::from(p) / 255.0 - 0.25) / 0.5;
                let found = f16::from_bits(x[i * 21 + j]).to_f32();
                assert!((found - want).abs() < 1e-3);
            }
        }
        assert!(x[3 * 21..].iter().all(|&x| x == 0));
        assert_eq!(b.get(LABEL), Some(&Values::Int32(vec![1, 1, 0, 0])));
    }
}
