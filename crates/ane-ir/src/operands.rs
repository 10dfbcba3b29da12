//! Operands by name: what an op declares, what a node has of it, and the view that ops get.
//!
//! An op declares a list of named operands, each required, optional or a list, as Core ML does: `bias` of `conv` may be
//! absent, `values` of `concat` are any number under one name. A node keeps the operands that are present one after the
//! other; [`Segments`] says how many of them each declared operand has, where the declaration leaves that open.

use crate::{graph::Value, ops::TypeError};
use std::ops::{Deref, Range};

/// How many values an operand takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arity {
    /// Exactly one.
    Required,
    /// One, or none where MIL leaves the operand out.
    Optional,
    /// One or more: `values = (a, b)`.
    List,
}

/// A declared operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operand {
    /// MIL name.
    pub name: &'static str,
    /// How many values it takes.
    pub arity: Arity,
}

impl Operand {
    /// An operand that is always given.
    pub const fn required(name: &'static str) -> Self {
        Self {
            name,
            arity: Arity::Required,
        }
    }

    /// An operand that may be left out.
    pub const fn optional(name: &'static str) -> Self {
        Self {
            name,
            arity: Arity::Optional,
        }
    }

    /// One or more operands under one name.
    pub const fn list(name: &'static str) -> Self {
        Self {
            name,
            arity: Arity::List,
        }
    }

    fn takes(self, values: usize) -> Result<(), &'static str> {
        match (self.arity, values) {
            (Arity::Required | Arity::Optional | Arity::List, 1) | (Arity::Optional, 0) => Ok(()),
            (Arity::List, n) if n > 0 => Ok(()),
            (Arity::Required, _) => Err("one value"),
            (Arity::Optional, _) => Err("at most one value"),
            (Arity::List, _) => Err("at least one value"),
        }
    }
}

/// How many operands of a node belong to each declared one. Left implicit where the number of operands says it: when
/// none is optional and at most one is a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Segments(Option<Box<[u32]>>);

impl Segments {
    /// The segments of `operands` values given one after the other: every declared operand takes one, optional ones as
    /// far as they reach, and a list takes what the required ones leave.
    ///
    /// # Errors
    /// When their number does not suit the declaration.
    pub fn plain(
        op: &'static str,
        declared: &[Operand],
        operands: usize,
    ) -> Result<Self, TypeError> {
        let number = |arity| declared.iter().filter(|d| d.arity == arity).count();
        let (required, optional) = (number(Arity::Required), number(Arity::Optional));
        let lists = number(Arity::List);
        let (least, most) = match lists {
            0 => (required, Some(required + optional)),
            _ => (required + lists, (lists > 1).then_some(required + lists)),
        };
        if operands < least || most.is_some_and(|most| operands > most) {
            let expected = match most {
                Some(most) if most == least => least.to_string(),
                Some(most) => format!("{least} to {most}"),
                None => format!("at least {least}"),
            };
            return Err(TypeError::OperandCount {
                op,
                expected,
                found: operands,
            });
        }
        let mut spare = operands - least;
        let counts: Vec<usize> = declared
            .iter()
            .map(|d| {
                let extra = match d.arity {
                    Arity::Required => 0,
                    Arity::Optional if lists == 0 => spare.min(1),
                    Arity::Optional => 0,
                    Arity::List => spare,
                };
                spare -= extra;
                extra + usize::from(d.arity != Arity::Optional)
            })
            .collect();
        Self::of(op, declared, &counts)
    }

    /// The segments with so many operands for each declared one.
    ///
    /// # Errors
    /// When a declared operand does not take so many.
    pub fn of(op: &'static str, declared: &[Operand], counts: &[usize]) -> Result<Self, TypeError> {
        if counts.len() != declared.len() {
            return Err(TypeError::OperandCount {
                op,
                expected: declared.len().to_string(),
                found: counts.len(),
            });
        }
        for (operand, &found) in declared.iter().zip(counts) {
            operand
                .takes(found)
                .map_err(|expected| TypeError::OperandArity {
                    op,
                    operand: operand.name,
                    expected,
                    found,
                })?;
        }
        let lists = declared.iter().filter(|d| d.arity == Arity::List).count();
        let implicit = lists <= 1 && declared.iter().all(|d| d.arity != Arity::Optional);
        let count = |&n| u32::try_from(n).expect("fewer than 2^32 operands");
        Ok(Self(
            (!implicit).then(|| counts.iter().map(count).collect()),
        ))
    }
}

/// What a builder gives for one declared operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'a> {
    /// One value.
    One(Value),
    /// Nothing: the operand is optional.
    Absent,
    /// The values of a list.
    List(&'a [Value]),
}

impl Argument<'_> {
    pub(crate) fn values(&self) -> &[Value] {
        match self {
            Self::One(v) => std::slice::from_ref(v),
            Self::Absent => &[],
            Self::List(all) => all,
        }
    }
}

impl From<Value> for Argument<'_> {
    fn from(v: Value) -> Self {
        Self::One(v)
    }
}

impl From<Option<Value>> for Argument<'_> {
    fn from(v: Option<Value>) -> Self {
        v.map_or(Self::Absent, Self::One)
    }
}

impl<'a> From<&'a [Value]> for Argument<'a> {
    fn from(all: &'a [Value]) -> Self {
        Self::List(all)
    }
}

/// The operands of a node as an op sees them: types in `infer`, tensors in `eval`, values in `vjp` and `decompose`.
///
/// It dereferences to what is present, in the order of the declaration, so that `xs[0]` is the first operand of an op
/// whose first operand is required; what may be absent is asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct Operands<'a, T> {
    declared: &'static [Operand],
    present: &'a [T],
    segments: &'a Segments,
}

/// Of views whose operands are counted by the declaration alone.
static IMPLICIT: Segments = Segments(None);

impl<'a, T: Copy> Operands<'a, T> {
    /// Operands of an op that has neither optional ones nor two lists.
    pub fn plain(declared: &'static [Operand], present: &'a [T]) -> Self {
        Self::new(declared, present, &IMPLICIT)
    }

    /// Operands of which each declared one has as many as `segments` says.
    pub fn new(declared: &'static [Operand], present: &'a [T], segments: &'a Segments) -> Self {
        Self {
            declared,
            present,
            segments,
        }
    }

    /// The optional operand called `name`, if it is given.
    ///
    /// # Panics
    /// When the op declares no such operand.
    pub fn optional(&self, name: &str) -> Option<T> {
        self.list(name).first().copied()
    }

    /// The operands under `name`.
    ///
    /// # Panics
    /// When the op declares no such operand.
    pub fn list(&self, name: &str) -> &'a [T] {
        &self.present[self.range(name)]
    }

    /// Where among the present operands those under `name` are; empty for one that is absent.
    ///
    /// # Panics
    /// When the op declares no such operand.
    pub fn range(&self, name: &str) -> Range<usize> {
        let position = self.declared.iter().position(|d| d.name == name);
        let position = position.expect("ops ask for operands that they declare");
        let start = (0..position).map(|i| self.count(i)).sum();
        start..start + self.count(position)
    }

    /// Every declared operand and what is given for it.
    pub fn groups(&self) -> impl Iterator<Item = (Operand, &'a [T])> {
        let mut start = 0;
        self.declared.iter().enumerate().map(move |(i, &operand)| {
            let group = &self.present[start..start + self.count(i)];
            start += group.len();
            (operand, group)
        })
    }

    fn count(&self, i: usize) -> usize {
        match &self.segments.0 {
            Some(counts) => counts[i] as usize,
            None if self.declared[i].arity == Arity::List => {
                (self.present.len() + 1).saturating_sub(self.declared.len())
            }
            None => 1,
        }
    }

    /// Whether there are as many as declared.
    pub(crate) fn check(&self, op: &'static str) -> Result<(), TypeError> {
        match &self.segments.0 {
            Some(counts) => {
                let expected = counts.iter().sum::<u32>() as usize;
                if expected == self.present.len() && counts.len() == self.declared.len() {
                    return Ok(());
                }
                Err(TypeError::OperandCount {
                    op,
                    expected: expected.to_string(),
                    found: self.present.len(),
                })
            }
            None => Segments::plain(op, self.declared, self.present.len()).and_then(|segments| {
                // Without counts an op with optional operands would answer by guess.
                if segments.0.is_none() {
                    Ok(())
                } else {
                    Err(TypeError::OperandCount {
                        op,
                        expected: "counted".to_owned(),
                        found: self.present.len(),
                    })
                }
            }),
        }
    }
}

impl<T> Deref for Operands<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.present
    }
}

impl<'a, T> IntoIterator for Operands<'a, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.present.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Graph};

    const CONV: &[Operand] = &[
        Operand::required("x"),
        Operand::required("weight"),
        Operand::optional("bias"),
    ];
    const NORM: &[Operand] = &[
        Operand::required("x"),
        Operand::optional("gamma"),
        Operand::optional("beta"),
    ];
    const CONCAT: &[Operand] = &[Operand::list("values")];
    const MIXED: &[Operand] = &[
        Operand::required("x"),
        Operand::list("values"),
        Operand::optional("bias"),
    ];

    fn values(n: usize) -> Vec<Value> {
        let mut g = Graph::new();
        (0..n)
            .map(|_| g.scalar(DType::Fp32, 1.0).unwrap())
            .collect()
    }

    /// Number of operands in each declared one.
    fn counts(declared: &'static [Operand], n: usize, segments: &Segments) -> Vec<usize> {
        let all = values(n);
        let view = Operands::new(declared, &all, segments);
        view.groups().map(|(_, group)| group.len()).collect()
    }

    #[test]
    fn plain_operands_fill_the_declaration_from_the_left() {
        for (declared, n, expected) in [
            (CONV, 2, Ok(vec![1, 1, 0])),
            (CONV, 3, Ok(vec![1, 1, 1])),
            (CONV, 1, Err("2 to 3")),
            (CONV, 4, Err("2 to 3")),
            (NORM, 2, Ok(vec![1, 1, 0])),
            (CONCAT, 3, Ok(vec![3])),
            (CONCAT, 0, Err("at least 1")),
            (MIXED, 4, Ok(vec![1, 3, 0])),
        ] {
            match (Segments::plain("op", declared, n), expected) {
                (Ok(segments), Ok(expected)) => {
                    assert_eq!(counts(declared, n, &segments), expected);
                }
                (Err(TypeError::OperandCount { expected: said, .. }), Err(expected)) => {
                    assert_eq!(said, expected);
                }
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn an_operand_may_be_absent_before_one_that_is_not() {
        let segments = Segments::of("op", NORM, &[1, 0, 1]).unwrap();
        let all = values(2);
        let view = Operands::new(NORM, &all, &segments);
        assert_eq!(view.optional("gamma"), None);
        assert_eq!(view.optional("beta"), Some(all[1]));
        assert_eq!(view.range("beta"), 1..2);
        assert_eq!(view[0], all[0]);
        let segments = Segments::of("op", MIXED, &[1, 2, 1]).unwrap();
        let all = values(4);
        let view = Operands::new(MIXED, &all, &segments);
        assert_eq!(view.list("values"), &all[1..3]);
        assert_eq!(view.optional("bias"), Some(all[3]));
    }

    #[test]
    fn a_declared_operand_takes_no_more_than_it_can() {
        for (declared, counts, operand) in [
            (CONV, vec![1, 0, 1], "weight"),
            (CONV, vec![1, 1, 2], "bias"),
            (CONCAT, vec![0], "values"),
        ] {
            let Err(TypeError::OperandArity { operand: said, .. }) =
                Segments::of("op", declared, &counts)
            else {
                panic!("{counts:?} is refused");
            };
            assert_eq!(said, operand);
        }
    }

    #[test]
    fn segments_are_explicit_only_where_the_number_does_not_say_them() {
        assert_eq!(Segments::of("op", CONCAT, &[4]).unwrap(), IMPLICIT);
        assert_ne!(Segments::of("op", CONV, &[1, 1, 1]).unwrap(), IMPLICIT);
        assert_eq!(
            Segments::plain("op", CONV, 2).unwrap(),
            Segments::of("op", CONV, &[1, 1, 0]).unwrap()
        );
    }
}
