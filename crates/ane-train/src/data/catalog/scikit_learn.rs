//! Where the data sets can be had that come with scikit-learn: its wheel, and its repository.

use crate::data::source::Origin;
use crate::data::source::pip::{PipPackage, Wheel};
use crate::data::source::url::Mirror;

/// The folder of its data in its repository, at the version of the wheel.
const REPOSITORY: &str =
    "https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.7.2/sklearn/datasets/data/";

const WHEEL: Origin = Origin::Pip(PipPackage {
    requirement: "scikit-learn==1.7.2",
    wheel: Wheel::Members(&[
        "sklearn/datasets/data/breast_cancer.csv",
        "sklearn/datasets/data/digits.csv.gz",
        "sklearn/datasets/data/iris.csv",
        "sklearn/datasets/data/wine_data.csv",
    ]),
});

/// Of files that are there as they are.
pub(super) const PLAIN: [Origin; 2] = [
    Origin::Mirror(Mirror {
        base: REPOSITORY,
        suffix: "",
    }),
    WHEEL,
];

/// Of files that are there compressed.
pub(super) const GZIPPED: [Origin; 2] = [
    Origin::Mirror(Mirror {
        base: REPOSITORY,
        suffix: ".gz",
    }),
    WHEEL,
];
