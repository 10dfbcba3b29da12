//! Digits: 1,797 handwritten digits of 8 × 8 pixels.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::fingerprint::Fingerprint;

use crate::data::undivided::{Form, UndividedSet};

pub(super) static DIGITS: DatasetSpec = DatasetSpec {
    name: "digits",
    title: "Optical recognition of handwritten digits",
    licence: "Digits is the work of E. Alpaydin and C. Kaynak, from the UCI Machine Learning Repository, CC BY 4.0; this copy is scikit-learn's, whose licence is BSD-3-Clause. \
              ane-trainer does not ship it: the file comes from others, and their terms apply.",
    content: Content::Undivided(UndividedSet {
        file: FileSpec {
            name: "digits.csv",
            fingerprint: Fingerprint::pinned(
                264_712,
                "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
            ),
        },
        form: Form::Pixels {
            rows: 8,
            columns: 8,
            most: 16,
        },
    }),
    origins: &super::scikit_learn::GZIPPED,
};
