//! Diamonds: weight, cut, colour, clarity and sizes of 53,940 diamonds, and their prices.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::fingerprint::Fingerprint;
use crate::data::own::TaskSetting;
use crate::data::source::Origin;
use crate::data::source::pip::{PipPackage, Wheel};
use crate::data::undivided::{Form, UndividedSet};

pub(super) static DIAMONDS: DatasetSpec = DatasetSpec {
    name: "diamonds",
    title: "Diamond prices",
    licence: "Diamonds is of the R package ggplot2, by Hadley Wickham and others, MIT; this copy is plotnine's, MIT. \
              ane-trainer does not ship it: the file comes from others, and their terms apply.",
    content: Content::Undivided(UndividedSet {
        file: FileSpec {
            name: "diamonds.csv",
            fingerprint: Fingerprint::pinned(
                2_772_143,
                "9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4",
            ),
        },
        form: Form::Table {
            label: "price",
            task: TaskSetting::Values,
        },
    }),
    origins: &[Origin::Pip(PipPackage {
        requirement: "plotnine==0.15.9",
        wheel: Wheel::Members(&["plotnine/data/diamonds.csv"]),
    })],
};
