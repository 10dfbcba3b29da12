//! Iris: 150 flowers of three species, four lengths of each.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::fingerprint::Fingerprint;

use crate::data::undivided::{Form, UndividedSet};

pub(super) static IRIS: DatasetSpec = DatasetSpec {
    name: "iris",
    title: "Iris flowers",
    licence: "Iris was collected by Edgar Anderson and published by R. A. Fisher in 1936; this copy is scikit-learn's, whose licence is BSD-3-Clause. \
              ane-trainer does not ship it: the file comes from others, and their terms apply.",
    content: Content::Undivided(UndividedSet {
        file: FileSpec {
            name: "iris.csv",
            fingerprint: Fingerprint::pinned(
                2_734,
                "f13ffa8fdd56fd8e6c8d16d4081a3fbd3114bcd0aae4256c43205169cd9d1449",
            ),
        },
        form: Form::ScikitLearn {
            columns: &[
                "sepal length (cm)",
                "sepal width (cm)",
                "petal length (cm)",
                "petal width (cm)",
            ],
        },
    }),
    origins: &super::scikit_learn::PLAIN,
};
