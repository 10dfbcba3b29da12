//! Fashion-MNIST: 70,000 pictures of articles of clothing in MNIST's format and sizes.

use super::{Content, DatasetSpec, FileSpec, Files, ImageSet, Normalisation, SplitSpec};
use crate::data::fingerprint::Fingerprint;
use crate::data::source::Origin;
use crate::data::source::debian::DebianPackage;
use crate::data::source::url::Mirror;

pub(super) static FASHION_MNIST: DatasetSpec = DatasetSpec {
    name: "fashion-mnist",
    title: "Fashion-MNIST articles of clothing",
    licence: "Fashion-MNIST is copyright 2017 Zalando SE, under the MIT licence. \
              ane-trainer does not ship it: the files come from others.",
    content: Content::Images(ImageSet {
        class_names: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        example_shape: [1, 28, 28],
        normalisation: Normalisation {
            mean: 0.2860,
            std: 0.3530,
        },
        train: SplitSpec {
            examples: 60_000,
            files: Files::Idx([
                FileSpec {
                    name: "train-images-idx3-ubyte",
                    fingerprint: Fingerprint::pinned(
                        47_040_016,
                        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    ),
                },
                FileSpec {
                    name: "train-labels-idx1-ubyte",
                    fingerprint: Fingerprint::pinned(
                        60_008,
                        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    ),
                },
            ]),
        },
        test: SplitSpec {
            examples: 10_000,
            files: Files::Idx([
                FileSpec {
                    name: "t10k-images-idx3-ubyte",
                    fingerprint: Fingerprint::pinned(
                        7_840_016,
                        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    ),
                },
                FileSpec {
                    name: "t10k-labels-idx1-ubyte",
                    fingerprint: Fingerprint::pinned(
                        10_008,
                        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                    ),
                },
            ]),
        },
    }),
    origins: &[
        // Plain HTTP is all this host speaks; the SHA-256 makes up for what the transport lacks.
        Origin::Mirror(Mirror {
            base: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            suffix: ".gz",
        }),
        Origin::Mirror(Mirror {
            base: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            suffix: ".gz",
        }),
        Origin::Debian(DebianPackage {
            package: "dataset-fashion-mnist",
            folder: "usr/share/datasets/fashion-mnist",
            suffix: ".gz",
        }),
    ],
};
