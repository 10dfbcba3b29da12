//! What a model's answers are worth: of classes, which it mistakes for which and how far its confidence can be trusted;
//! of numbers, how far off it is.
//!
//! [`Answers`] are collected while examples are evaluated; [`Judgement::of`] looks at them all.

mod answers;
mod calibration;
mod classes;
mod confusion;
mod values;

pub use answers::{Answers, Wanted};
pub use calibration::{BINS, Bin, Calibration};
pub use classes::{ClassScore, ClassesJudged, Decision, Means};
pub use confusion::{Confusion, Mistake};
pub use values::{ValueScore, ValuesJudged};

use crate::{data::description::Target, loss::Loss};
use serde::Serialize;

/// What a model's answers are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Judgement {
    /// Where examples are of classes.
    Classes(ClassesJudged),
    /// Where numbers are to be said.
    Values(ValuesJudged),
}

impl Judgement {
    /// Judges answers to examples whose targets mean what `target` says, by a model that was trained with `loss`; none of
    /// a model that says something else, such as its input again.
    pub fn of(answers: &Answers, target: &Target, loss: &Loss) -> Option<Self> {
        match (target, &answers.wanted) {
            (Target::Classes { names }, Wanted::Classes(classes)) => {
                let decisions = Decision::all(&answers.outputs, answers.width, classes, loss)?;
                let judged = ClassesJudged::of(names, answers.width, decisions, loss);
                Some(Self::Classes(judged))
            }
            (Target::Values { values }, Wanted::Values(wanted))
                if answers.width == values.len() =>
            {
                let judged = ValuesJudged::of(values, &answers.outputs, wanted);
                Some(Self::Values(judged))
            }
            _ => None,
        }
    }
}
