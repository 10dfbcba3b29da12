//! Breast cancer Wisconsin (diagnostic): 569 masses, thirty measurements of the nuclei of each, malignant or benign.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::fingerprint::Fingerprint;

use crate::data::undivided::{Form, UndividedSet};

pub(super) static BREAST_CANCER: DatasetSpec = DatasetSpec {
    name: "breast-cancer",
    title: "Breast cancer Wisconsin",
    licence: "Breast cancer Wisconsin (diagnostic) is the work of W. H. Wolberg, W. N. Street and O. L. Mangasarian, from the UCI Machine Learning Repository, CC BY 4.0; this copy is scikit-learn's, whose licence is BSD-3-Clause. \
              ane-trainer does not ship it: the file comes from others, and their terms apply.",
    content: Content::Undivided(UndividedSet {
        file: FileSpec {
            name: "breast_cancer.csv",
            fingerprint: Fingerprint::pinned(
                119_913,
                "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed",
            ),
        },
        form: Form::ScikitLearn {
            columns: &[
                "mean radius",
                "mean texture",
                "mean perimeter",
                "mean area",
                "mean smoothness",
                "mean compactness",
                "mean concavity",
                "mean concave points",
                "mean symmetry",
                "mean fractal dimension",
                "radius error",
                "texture error",
                "perimeter error",
                "area error",
                "smoothness error",
                "compactness error",
                "concavity error",
                "concave points error",
                "symmetry error",
                "fractal dimension error",
                "worst radius",
                "worst texture",
                "worst perimeter",
                "worst area",
                "worst smoothness",
                "worst compactness",
                "worst concavity",
                "worst concave points",
                "worst symmetry",
                "worst fractal dimension",
            ],
        },
    }),
    origins: &super::scikit_learn::PLAIN,
};
