//! What a batch's targets are as inputs of a step.

use super::{ObjectiveError, Term};
use crate::{
    data::{Batch, Values},
    loss::Loss,
};
use half::f16;

/// A target that does not count: PyTorch's `ignore_index`.
pub const IGNORED: i32 = -100;

/// What is written to a port.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Written<'a> {
    /// Bit patterns.
    Fp16(&'a [u16]),
    /// Integers.
    Int32(&'a [i32]),
}

/// What the targets of a term become.
#[derive(Debug)]
pub(crate) enum TermTargets {
    /// Rows of an output.
    Rows(TargetRows),
    /// Tokens of a vocabulary.
    Tokens(TokenTargets),
}

impl TermTargets {
    /// Of an output whose rows have `width` values.
    pub(crate) fn rows(term: &Term, width: usize) -> Self {
        Self::Rows(TargetRows::new(term, width))
    }

    /// Of sequences of tokens.
    pub(crate) fn tokens(term: &Term, positions: usize, vocabulary: usize) -> Self {
        Self::Tokens(TokenTargets {
            target: term.target.clone(),
            positions,
            vocabulary,
            ids: Vec::new(),
            weights: Vec::new(),
        })
    }

    /// What is written to the ports of the term, in their order, padding included.
    pub(crate) fn of<'a>(
        &'a mut self,
        batch: &'a Batch,
    ) -> Result<Vec<Written<'a>>, ObjectiveError> {
        match self {
            Self::Rows(rows) => Ok(vec![Written::Fp16(rows.of(batch)?)]),
            Self::Tokens(tokens) => {
                tokens.read(batch)?;
                Ok(vec![
                    Written::Int32(&tokens.ids),
                    Written::Fp16(&tokens.weights),
                ])
            }
        }
    }
}

/// Tokens, and what each weighs in the mean over its example.
#[derive(Debug)]
pub(crate) struct TokenTargets {
    target: String,
    positions: usize,
    vocabulary: usize,
    ids: Vec<i32>,
    /// fp16 bit patterns.
    weights: Vec<u16>,
}

impl TokenTargets {
    fn read(&mut self, batch: &Batch) -> Result<(), ObjectiveError> {
        let Some(Values::Int32(tokens)) = batch.get(&self.target) else {
            return Err(no_target(batch, &self.target, "int32"));
        };
        self.ids.clear();
        self.weights.clear();
        for (row, tokens) in tokens.chunks(self.positions.max(1)).enumerate() {
            let counted = tokens.iter().filter(|&&t| t != IGNORED).count();
            let weight = f16::from_f64(1.0 / counted.max(1) as f64).to_bits();
            for &token in tokens {
                if token == IGNORED {
                    self.ids.push(0);
                    self.weights.push(0);
                    continue;
                }
                if usize::try_from(token).map_or(true, |t| t >= self.vocabulary) {
                    return Err(ObjectiveError::Class {
                        target: self.target.clone(),
                        row,
                        class: token,
                        classes: self.vocabulary,
                    });
                }
                self.ids.push(token);
                self.weights.push(weight);
            }
        }
        Ok(())
    }
}

fn no_target(batch: &Batch, target: &str, types: &str) -> ObjectiveError {
    ObjectiveError::NoTarget {
        target: match batch.get(target) {
            Some(_) => format!("{target} of {types}"),
            None => target.to_owned(),
        },
        fields: batch.names().map(str::to_owned).collect(),
    }
}

/// What a loss wants of an output of `width` values, by class.
pub(super) fn class_rows(loss: &Loss, width: usize) -> Vec<Vec<f32>> {
    // A single value tells two classes apart.
    let classes = if width == 1 { 2 } else { width };
    let row = |class| match width {
        1 => vec![class as f32],
        _ => loss.target_row(class, width),
    };
    (0..classes).map(row).collect()
}

/// Turns the targets of a term into fp16 rows: what is stored as a class becomes the loss's row for it.
#[derive(Debug)]
pub(crate) struct TargetRows {
    loss: Loss,
    target: String,
    /// Values of a row of the output.
    width: usize,
    /// The row of every class, one behind the other.
    classes: Vec<u16>,
    rows: Vec<u16>,
}

impl TargetRows {
    fn new(term: &Term, width: usize) -> Self {
        let rows = class_rows(&term.loss, width);
        Self {
            loss: term.loss,
            target: term.target.clone(),
            width,
            classes: rows
                .iter()
                .flatten()
                .map(|&x| f16::from_f32(x).to_bits())
                .collect(),
            rows: Vec::new(),
        }
    }

    /// The rows of a batch, padding included.
    fn of<'a>(&'a mut self, batch: &'a Batch) -> Result<&'a [u16], ObjectiveError> {
        match batch.get(&self.target) {
            Some(Values::Fp16(rows)) => {
                let outside = |bits: u16| self.loss.wants_probabilities() && !is_probability(bits);
                match rows.iter().position(|&bits| outside(bits)) {
                    None => Ok(rows),
                    Some(at) => Err(ObjectiveError::Range {
                        loss: self.loss.name(),
                        target: self.target.clone(),
                        row: at / self.width.max(1),
                        value: f16::from_bits(rows[at]).to_f32(),
                    }),
                }
            }
            Some(Values::Int32(classes)) => {
                self.rows.clear();
                for (row, &class) in classes.iter().enumerate() {
                    let from = usize::try_from(class).map(|c| c * self.width);
                    let values = from
                        .ok()
                        .and_then(|at| self.classes.get(at..at + self.width));
                    let values = values.ok_or_else(|| ObjectiveError::Class {
                        target: self.target.clone(),
                        row,
                        class,
                        classes: self.classes.len() / self.width,
                    })?;
                    self.rows.extend_from_slice(values);
                }
                Ok(&self.rows)
            }
            _ => Err(no_target(batch, &self.target, "fp16 or int32")),
        }
    }
}

/// Whether an fp16 bit pattern is a number from 0 to 1.
fn is_probability(bits: u16) -> bool {
    const ONE: u16 = 0x3C00;
    const MINUS_ZERO: u16 = 0x8000;
    bits <= ONE || bits == MINUS_ZERO
}
