//! `Dataset`: the examples and labels of one split, as bytes in memory.

use std::fmt;

use super::DataError;
use super::catalog::{DatasetSpec, Files, Normalisation};
use super::cifar::Records;
use super::event::FetchEvent;
use super::fetch::{FetchOptions, RawFile, RawFiles, fetch};
use super::idx::{self, IdxError};

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
pub struct Dataset {
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

impl Dataset {
    /// The same pixels without their mean taken off: what is black stays exactly zero.
    #[must_use]
    pub fn not_centred(self) -> Self {
        Self { mean: 0.0, ..self }
    }

    /// Number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
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

/// Both splits of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Datasets {
    /// The examples to train with.
    pub train: Dataset,
    /// The examples to test with.
    pub test: Dataset,
}

/// Fetches `spec` and reads its files.
///
/// # Errors
///
/// As [`fetch`], or if a file does not hold what the catalog says.
pub fn load(
    spec: &DatasetSpec,
    options: &FetchOptions,
    report: &dyn Fn(FetchEvent),
) -> Result<Datasets, DataError> {
    let RawFiles { train, test } = fetch(spec, options, report)?;
    Ok(Datasets {
        train: read(spec, Split::Train, train)?,
        test: read(spec, Split::Test, test)?,
    })
}

fn read(spec: &DatasetSpec, split: Split, files: Vec<RawFile>) -> Result<Dataset, DataError> {
    let (images, labels) = match &spec.split(split).files {
        Files::Idx(_) => read_idx(spec, split, files)?,
        Files::Records(_) => {
            let mut records = Records::new();
            for file in files {
                records.add(file.name, &file.content, spec.example_shape, spec.classes())?;
            }
            (records.pixels, records.labels)
        }
    };
    let expected = spec.split(split).examples;
    if labels.len() != expected {
        return Err(DataError::Examples {
            dataset: spec.name,
            split,
            expected,
            found: labels.len(),
        });
    }
    let Normalisation { mean, std } = spec.normalisation;
    Ok(Dataset {
        name: spec.name,
        split,
        class_names: spec.class_names,
        classes: spec.classes(),
        example_shape: spec.example_shape,
        example_len: spec.example_len(),
        images,
        labels,
        mean,
        std,
    })
}

/// Pixels and labels of a file of images and a file of labels.
fn read_idx(
    spec: &DatasetSpec,
    split: Split,
    files: Vec<RawFile>,
) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    let [images_file, labels_file] = <[RawFile; 2]>::try_from(files)
        .expect("a split in IDX has two files, and each was obtained");
    let images = idx::parse_images(images_file.name, images_file.content)?;
    let labels = idx::parse_labels(labels_file.name, labels_file.content, spec.classes())?;
    if images.count != labels.len() {
        return Err(DataError::Idx(IdxError::CountsDiffer {
            images_file: images_file.name.to_owned(),
            images: images.count,
            labels_file: labels_file.name.to_owned(),
            labels: labels.len(),
        }));
    }
    // IDX has no axis for channels: a file of several would stack them in its rows.
    let [channels, rows, columns] = spec.example_shape;
    let expected = [spec.split(split).examples, channels * rows, columns];
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
