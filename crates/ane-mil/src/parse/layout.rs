//! Explicit layouts, as the third dialect has them: `tensor_buffer` types, and the two words between them and tensors.
//!
//! A layout says where elements lie in a port's memory and nothing about values, and devices here lay their ports out
//! themselves. So a `tensor_buffer` is read as the tensor that it holds, and its two words as other names for a value.
//! What does not hold its elements in row-major order is refused, as nothing here could carry it.

use super::{
    cursor::Cursor,
    error::{Fault, ParseErrorKind, Span},
    grammar::{dimension, element},
    literal::tensor_type,
    lower::{Lowering, results, unknown_argument, wrong_type},
    syntax::{Name, Statement, Type, ValueKind},
};

/// The type.
pub(super) const TENSOR_BUFFER: &str = "tensor_buffer";
/// The words between buffers and tensors.
const WORDS: [&str; 2] = ["tensor_buffer_to_tensor", "tensor_to_tensor_buffer"];
/// What they may say besides their operand.
const LAYOUT: [&str; 2] = ["interleave_factors", "strides"];

/// Whether `op` only changes between a buffer and a tensor.
pub(super) fn is_change(op: &str) -> bool {
    WORDS.contains(&op)
}

/// Whether `argument` of such a word is part of a layout.
pub(super) fn is_layout(argument: &str) -> bool {
    LAYOUT.contains(&argument)
}

/// `<fp16, shape = [..], strides = [..], interleave_factors = [..]>` after `tensor_buffer`.
pub(super) fn buffer_type(c: &mut Cursor<'_>, name: Name<'_>) -> Result<Type, Fault> {
    let opened = c.open('<')?;
    let word = c.name("an element type")?;
    let element = element(word)?;
    let mut list = |expected: &'static str| {
        c.expect(',')?;
        let key = c.name(expected)?;
        if key.text != expected {
            return Err(unsupported(format!("`{}` of a layout", key.text), key.span));
        }
        c.expect('=')?;
        let (values, span) = c.list(('[', ']'), dimension)?;
        Ok((values, key.span.to(span)))
    };
    let (dims, _) = list("shape")?;
    let (strides, at) = list("strides")?;
    let (factors, interleaved_at) = list("interleave_factors")?;
    let closed = c.close('>', opened)?;
    if !is_row_major(&dims, &strides) {
        return Err(unsupported(
            format!("a layout of {dims:?} with strides {strides:?}, which is not row-major,"),
            at,
        ));
    }
    if factors.len() != dims.len() || factors.iter().any(|&f| f != 1) {
        return Err(unsupported("an interleaved layout".into(), interleaved_at));
    }
    Ok(Type {
        element,
        dims,
        span: name.span.to(closed),
    })
}

/// Whether elements follow each other with the last axis fastest, gaps allowed, none in two places.
fn is_row_major(dims: &[usize], strides: &[usize]) -> bool {
    let mut room = 1;
    let fits = |(&dim, &stride): (&usize, &usize)| {
        let fits = dim <= 1 || stride >= room;
        room = room.max(dim.saturating_mul(stride));
        fits
    };
    dims.len() == strides.len()
        && strides.last().is_none_or(|&last| last == 1)
        && dims.iter().zip(strides).rev().all(fits)
}

fn unsupported(what: String, span: Span) -> Fault {
    Fault::new(ParseErrorKind::Unsupported { what }, span)
}

impl<'a, 't> Lowering<'a, 't, '_, '_> {
    /// Gives a value the name of its buffer or tensor.
    pub(super) fn change_layout(&mut self, statement: &'a Statement<'t>) -> Result<(), Fault> {
        let [(ty, name)] = &statement.results[..] else {
            return Err(results(statement, 1));
        };
        self.refuse_duplicate(*name)?;
        let mut input = None;
        for argument in &statement.arguments {
            match argument.name.text {
                "input" => input = Some(&argument.value),
                word if is_layout(word) => {}
                _ => {
                    return Err(unknown_argument(
                        statement,
                        argument,
                        &["input", LAYOUT[0], LAYOUT[1]],
                    ));
                }
            }
        }
        let input = input.ok_or_else(|| {
            Fault::new(
                ParseErrorKind::MissingOperand {
                    op: statement.op.text.into(),
                    name: "input".into(),
                },
                statement.op.span,
            )
        })?;
        let ValueKind::Name(from) = input.kind else {
            return Err(unsupported("a layout of a literal".into(), input.span));
        };
        let value = self.named_value(from, input.span)?;
        let (declared, found) = (tensor_type(ty)?, self.graph.ty(value).clone());
        if declared != found {
            return Err(wrong_type(name.text, declared, found, ty.span));
        }
        self.alias(*name, value);
        Ok(())
    }
}
