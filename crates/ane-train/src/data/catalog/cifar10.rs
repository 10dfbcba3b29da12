//! CIFAR-10: 60,000 small colour images of ten kinds of things, 32×32, the split of the original files.
//!
//! Length and SHA-256 of the files are those that torchvision for Ruby holds them to (`torchvision/datasets/cifar10.rb`);
//! its SHA-256 of the archive is the one of TensorFlow Datasets' registry. Normalisation is over all three channels.

use super::{Content, DatasetSpec, FileSpec, Files, ImageSet, Normalisation, SplitSpec};
use crate::data::fingerprint::Fingerprint;
use crate::data::source::Origin;
use crate::data::source::archive::Archive;

pub(super) static CIFAR10: DatasetSpec = DatasetSpec {
    name: "cifar10",
    title: "CIFAR-10 colour images",
    licence: "CIFAR-10 is the work of Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, taken from the 80 million \
              tiny images; its page names no licence and asks to cite \"Learning Multiple Layers of Features from \
              Tiny Images\", 2009. ane-trainer does not ship it: the files come from others, and their terms apply.",
    content: Content::Images(ImageSet {
        class_names: &[
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ],
        example_shape: [3, 32, 32],
        normalisation: Normalisation {
            mean: 0.4734,
            std: 0.2516,
        },
        train: SplitSpec {
            examples: 50_000,
            files: Files::Records(&TRAIN),
        },
        test: SplitSpec {
            examples: 10_000,
            files: Files::Records(&TEST),
        },
    }),
    origins: &[Origin::Archive(Archive {
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        folder: "cifar-10-batches-bin",
        bytes: 170_052_171,
    })],
};

/// A file of 10,000 records of 3,073 bytes.
const fn records(name: &'static str, sha256: &str) -> FileSpec {
    FileSpec {
        name,
        fingerprint: Fingerprint::pinned(30_730_000, sha256),
    }
}

static TRAIN: [FileSpec; 5] = [
    records(
        "data_batch_1.bin",
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    ),
    records(
        "data_batch_2.bin",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    ),
    records(
        "data_batch_3.bin",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    ),
    records(
        "data_batch_4.bin",
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    ),
    records(
        "data_batch_5.bin",
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    ),
];

static TEST: [FileSpec; 1] = [records(
    "test_batch.bin",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
)];
