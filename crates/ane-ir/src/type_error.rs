//! Why operands do not fit an op.

use crate::{place::Place, types::TensorType};

/// The operands do not fit the op: the fault of whoever built the graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// Wrong number of operands.
    #[error("{op}: expected {expected} operands, found {found}")]
    OperandCount {
        /// MIL name.
        op: &'static str,
        /// How many it takes.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// Too many or too few values under one operand name.
    #[error("{op}: operand `{operand}` takes {expected}, found {found}")]
    OperandArity {
        /// MIL name.
        op: &'static str,
        /// Operand name.
        operand: &'static str,
        /// How many it takes.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An operand of a dtype the op does not take.
    #[error("{op}: operand `{operand}` must be {expected}, found {found}")]
    OperandType {
        /// MIL name.
        op: &'static str,
        /// Operand name.
        operand: &'static str,
        /// What is accepted.
        expected: String,
        /// What it is.
        found: TensorType,
    },
    /// Shapes that do not go together.
    #[error("{op}: {x} and {y} do not fit: {rule}")]
    Mismatch {
        /// MIL name.
        op: &'static str,
        /// First type.
        x: TensorType,
        /// Second type.
        y: TensorType,
        /// The rule they break.
        rule: &'static str,
    },
    /// Any of these, in a graph whose builder said where it is.
    #[error("{error}, at {place}")]
    At {
        /// What does not fit.
        error: Box<TypeError>,
        /// Where.
        place: Place,
    },
    /// An attribute value that does not fit the operands.
    #[error("{op}: attribute `{attribute}` must be {expected}, found {found}")]
    Attribute {
        /// MIL name.
        op: &'static str,
        /// Attribute name.
        attribute: &'static str,
        /// What is accepted.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl TypeError {
    /// The same, with the place where it is known.
    pub(crate) fn at(self, place: &Place) -> Self {
        if place.is_unknown() || matches!(self, Self::At { .. }) {
            return self;
        }
        Self::At {
            error: Box::new(self),
            place: place.clone(),
        }
    }
}
