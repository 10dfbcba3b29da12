//! What a model has answered, example by example, beside what it should have.

use crate::{
    data::{Batch, Values},
    objective::Objective,
    trainer::Evaluated,
};
use half::f16;

/// The answers of a model, by the output that its first loss looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    output: String,
    target: String,
    /// Row by row.
    pub outputs: Vec<f32>,
    /// Values in a row.
    pub width: usize,
    /// What they should have been.
    pub wanted: Wanted,
}

/// What answers should have been.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// A class each.
    Classes(Vec<i32>),
    /// As many values as the answer has.
    Values(Vec<f32>),
    /// Nothing that can be compared with single answers.
    Nothing,
}

impl Answers {
    /// None yet, of a model that was trained for an objective.
    pub fn to(objective: &Objective) -> Self {
        let term = objective.terms.first();
        let of = |name: fn(&crate::objective::Term) -> &str| term.map_or("", name).to_owned();
        Self {
            output: of(|term| &term.output),
            target: of(|term| &term.target),
            outputs: Vec::new(),
            width: 0,
            wanted: Wanted::Nothing,
        }
    }

    /// Takes the answers to a batch.
    pub fn take(&mut self, batch: &Batch, evaluated: &Evaluated) {
        let named = evaluated.outputs.iter().find(|(n, _)| *n == self.output);
        let (Some((_, rows)), Some(target)) = (named, batch.get(&self.target)) else {
            return;
        };
        let present = batch.present();
        self.width = rows.len() / present.max(1);
        let width = target.len() / batch.rows().max(1);
        match (target, &mut self.wanted) {
            (Values::Int32(x), Wanted::Classes(all)) if width == 1 => all.extend(&x[..present]),
            (Values::Int32(x), all @ Wanted::Nothing) if width == 1 => {
                *all = Wanted::Classes(x[..present].to_vec());
            }
            (Values::Fp16(x), all) if width == self.width => {
                let values = x[..present * width]
                    .iter()
                    .map(|&b| f16::from_bits(b).to_f32());
                match all {
                    Wanted::Values(all) => all.extend(values),
                    all => *all = Wanted::Values(values.collect()),
                }
            }
            _ => return,
        }
        self.outputs.extend(rows);
    }
}
