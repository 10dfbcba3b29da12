//! Wine: 178 wines of three growers, thirteen measurements of each.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::fingerprint::Fingerprint;

use crate::data::undivided::{Form, UndividedSet};

pub(super) static WINE: DatasetSpec = DatasetSpec {
    name: "wine",
    title: "Wine recognition",
    licence: "Wine is the work of M. Forina and others, from the UCI Machine Learning Repository, CC BY 4.0; this copy is scikit-learn's, whose licence is BSD-3-Clause. \
              ane-trainer does not ship it: the file comes from others, and their terms apply.",
    content: Content::Undivided(UndividedSet {
        file: FileSpec {
            name: "wine_data.csv",
            fingerprint: Fingerprint::pinned(
                11_157,
                "10e8a802908b34f86e5da8ce962f3c806694bc98450a18f61851af59f324bede",
            ),
        },
        form: Form::ScikitLearn {
            columns: &[
                "alcohol",
                "malic_acid",
                "ash",
                "alcalinity_of_ash",
                "magnesium",
                "total_phenols",
                "flavanoids",
                "nonflavanoid_phenols",
                "proanthocyanins",
                "color_intensity",
                "hue",
                "od280/od315_of_diluted_wines",
                "proline",
            ],
        },
    }),
    origins: &super::scikit_learn::PLAIN,
};
