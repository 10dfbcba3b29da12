//! Literals of the syntax tree to types, constants and attribute values.

use super::{
    error::{Fault, ParseErrorKind, Span},
    syntax::{Body, Element, Item, ItemKind, Scalar, Type},
};
use crate::{
    blob::{BlobReader, BlobSource},
    number,
};
use ane_ir::{DType, Literal, MAX_RANK, TensorType, ops};
use std::{collections::HashMap, sync::Arc};

/// Most elements of a tensor: far beyond any memory, far below where products of sizes overflow.
pub(super) const MAX_ELEMENTS: usize = 1 << 40;

/// Weight files, each asked for once, and their tensors, each copied once however often the text names it.
pub(super) struct Blobs<'s> {
    source: &'s dyn BlobSource,
    files: HashMap<String, Arc<[u8]>>,
    records: HashMap<(String, u64), Literal>,
}

impl<'s> Blobs<'s> {
    pub(super) fn new(source: &'s dyn BlobSource) -> Self {
        Self {
            source,
            files: HashMap::new(),
            records: HashMap::new(),
        }
    }

    fn literal(
        &mut self,
        path: &str,
        offset: u64,
        ty: &TensorType,
        span: Span,
    ) -> Result<Literal, Fault> {
        let fault = |e| Fault::new(ParseErrorKind::Blob(e), span);
        let key = (path.to_owned(), offset);
        let known = self.records.get(&key).filter(|l| l.ty().dtype == ty.dtype);
        if let Some(same) = known.and_then(|l| l.with_shape(ty.shape.clone())) {
            return Ok(same);
        }
        if !self.files.contains_key(path) {
            let file = self.source.load(path).map_err(fault)?;
            self.files.insert(path.to_owned(), file);
        }
        let file = &self.files[path];
        let literal = BlobReader::new(file)
            .and_then(|r| r.literal(offset, ty))
            .map_err(fault)?;
        self.records.insert(key, literal.clone());
        Ok(literal)
    }

    /// The constant of type `ty` that `body` holds.
    pub(super) fn constant(
        &mut self,
        ty: &TensorType,
        body: &Body<'_>,
        span: Span,
    ) -> Result<Literal, Fault> {
        match body {
            Body::Blob { path, offset } => self.literal(path, *offset, ty, span),
            Body::Scalar(scalar) if ty.shape.rank() == 0 => {
                let x = element(ty.dtype, scalar, span)?;
                Ok(Literal::from_f64(ty.clone(), &[x]))
            }
            Body::Scalar(_) => Err(count(ty, "one scalar", span)),
            Body::List(items) => {
                let mut scalars = Vec::new();
                flatten(items, ty.shape.dims(), &mut scalars)
                    .map_err(|found| count(ty, &found, span))?;
                let elements = scalars
                    .into_iter()
                    .map(|(s, span)| element(ty.dtype, s, span))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(Literal::from_f64(ty.clone(), &elements))
            }
        }
    }

    /// The attribute value that a literal is; bare ones say by their form what they are.
    pub(super) fn attribute(
        &mut self,
        ty: Option<&Type>,
        body: &Body<'_>,
        span: Span,
    ) -> Result<ops::Attr, Fault> {
        let Some(ty) = ty else {
            return bare_attribute(body, span);
        };
        match (ty.element, body) {
            (Element::Foreign(_), _) => Err(foreign(ty)),
            (Element::Str, Body::Scalar(Scalar::Str(s))) if ty.dims.is_empty() => {
                Ok(ops::Attr::Str(s.clone()))
            }
            (Element::Str, Body::List(items)) if ty.dims == [items.len()] => scalars(items)?
                .map(|s| string(s, span))
                .collect::<Result<_, _>>()
                .map(ops::Attr::Strs),
            (Element::Str, _) => Err(bad_literal(
                "a string or a list of strings, as typed",
                "something else",
                span,
            )),
            (Element::Integer(_), body) => integers(&ty.dims, body, span),
            (Element::Tensor(dtype), Body::Scalar(_) | Body::List(_)) if is_integer(dtype) => {
                integers(&ty.dims, body, span)
            }
            (Element::Tensor(dtype), Body::Scalar(scalar)) if ty.dims.is_empty() => {
                // A float keeps every digit it is given: the op rounds it where it uses it.
                let x = match dtype {
                    DType::Bool => element(dtype, scalar, span)?,
                    _ => float(scalar, span)?,
                };
                Ok(scalar_attribute(dtype, x))
            }
            (Element::Tensor(dtype), Body::List(items))
                if dtype.is_float() && ty.dims == [items.len()] =>
            {
                scalars(items)?
                    .map(|s| float(s, span))
                    .collect::<Result<_, _>>()
                    .map(ops::Attr::Floats)
            }
            (Element::Tensor(_), body) => {
                let literal = self.constant(&tensor_type(ty)?, body, span)?;
                let LiteralView { dtype, rank } = LiteralView::of(&literal);
                let all = literal.to_f64();
                Ok(match rank {
                    0 => scalar_attribute(dtype, all[0]),
                    1 if dtype == DType::Bool => {
                        ops::Attr::Bools(all.iter().map(|&x| x != 0.0).collect())
                    }
                    1 if dtype.is_float() => ops::Attr::Floats(all),
                    1 => ops::Attr::Ints(all.iter().map(|&x| x as i32).collect()),
                    _ => ops::Attr::Literal(literal),
                })
            }
        }
    }
}

struct LiteralView {
    dtype: DType,
    rank: usize,
}

impl LiteralView {
    fn of(literal: &Literal) -> Self {
        Self {
            dtype: literal.ty().dtype,
            rank: literal.ty().shape.rank(),
        }
    }
}

fn is_integer(dtype: DType) -> bool {
    !dtype.is_float() && dtype != DType::Bool
}

fn scalar_attribute(dtype: DType, x: f64) -> ops::Attr {
    match dtype {
        DType::Fp16 | DType::Fp32 => ops::Attr::Float(x),
        DType::Bool => ops::Attr::Bool(x != 0.0),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 | DType::Int32 => {
            ops::Attr::Int(x as i32)
        }
    }
}

fn bare_attribute(body: &Body<'_>, span: Span) -> Result<ops::Attr, Fault> {
    match body {
        Body::Scalar(Scalar::Bool(b)) => Ok(ops::Attr::Bool(*b)),
        Body::Scalar(Scalar::Str(s)) => Ok(ops::Attr::Str(s.clone())),
        Body::Scalar(Scalar::Number(n)) => match n.parse() {
            Ok(i) => Ok(ops::Attr::Int(i)),
            Err(_) => float(&Scalar::Number(n), span).map(ops::Attr::Float),
        },
        Body::List(items) => bare_list(items, span),
        Body::Blob { .. } => Err(bad_literal("a type before `BLOBFILE`", "none", span)),
    }
}

/// A list without type is one of what its first element is; numbers are integers as long as all of them are.
fn bare_list(items: &[Item<'_>], span: Span) -> Result<ops::Attr, Fault> {
    let all: Vec<&Scalar<'_>> = scalars(items)?.collect();
    match all.first() {
        Some(Scalar::Bool(_)) => all
            .iter()
            .map(|s| element(DType::Bool, s, span).map(|x| x != 0.0))
            .collect::<Result<_, _>>()
            .map(ops::Attr::Bools),
        Some(Scalar::Str(_)) => all
            .iter()
            .map(|s| string(s, span))
            .collect::<Result<_, _>>()
            .map(ops::Attr::Strs),
        Some(Scalar::Number(_)) | None => {
            let whole: Option<Vec<i32>> = all
                .iter()
                .map(|s| match s {
                    Scalar::Number(n) => n.parse().ok(),
                    Scalar::Bool(_) | Scalar::Str(_) => None,
                })
                .collect();
            match whole {
                Some(whole) => Ok(ops::Attr::Ints(whole)),
                None => all
                    .iter()
                    .map(|s| float(s, span))
                    .collect::<Result<_, _>>()
                    .map(ops::Attr::Floats),
            }
        }
    }
}

/// The elements of a list that has no lists in it.
fn scalars<'a, 't>(
    items: &'a [Item<'t>],
) -> Result<impl Iterator<Item = &'a Scalar<'t>> + use<'a, 't>, Fault> {
    let nested = |item: &Item<'_>| matches!(item.kind, ItemKind::List(_));
    if let Some(inner) = items.iter().find(|item| nested(item)) {
        return Err(bad_literal("one element", "a list", inner.span));
    }
    Ok(items.iter().filter_map(|item| match &item.kind {
        ItemKind::Scalar(scalar) => Some(scalar),
        ItemKind::List(_) => None,
    }))
}

fn string(scalar: &Scalar<'_>, span: Span) -> Result<String, Fault> {
    match scalar {
        Scalar::Str(s) => Ok(s.clone()),
        Scalar::Number(_) | Scalar::Bool(_) => Err(bad_literal("a string", "something else", span)),
    }
}

/// An integer, or a list of them, in the range of what an attribute can be.
fn integers(dims: &[usize], body: &Body<'_>, span: Span) -> Result<ops::Attr, Fault> {
    match (dims, body) {
        ([], Body::Scalar(scalar)) => integer(scalar, span).map(ops::Attr::Int),
        (&[len], Body::List(items)) => {
            if items.len() != len {
                let found = format!("{}", items.len());
                return Err(bad_literal(&format!("{len} integers"), &found, span));
            }
            items
                .iter()
                .map(|item| match &item.kind {
                    ItemKind::Scalar(scalar) => integer(scalar, item.span),
                    ItemKind::List(_) => Err(bad_literal("an integer", "a list", item.span)),
                })
                .collect::<Result<_, _>>()
                .map(ops::Attr::Ints)
        }
        _ => Err(bad_literal(
            "an integer or a list of integers, as typed",
            "another form",
            span,
        )),
    }
}

fn integer(scalar: &Scalar<'_>, span: Span) -> Result<i32, Fault> {
    match scalar {
        Scalar::Number(n) => n
            .parse()
            .map_err(|_| bad_literal("an integer of 32 bits", &quoted(n), span)),
        Scalar::Bool(_) | Scalar::Str(_) => Err(bad_literal("an integer", "something else", span)),
    }
}

/// One element of a tensor, in the range of its type.
fn element(dtype: DType, scalar: &Scalar<'_>, span: Span) -> Result<f64, Fault> {
    if dtype == DType::Bool {
        return match scalar {
            Scalar::Bool(b) => Ok(f64::from(u8::from(*b))),
            Scalar::Number(_) | Scalar::Str(_) => {
                Err(bad_literal("`true` or `false`", "something else", span))
            }
        };
    }
    let Some((low, high)) = dtype.integer_range() else {
        let x = float(scalar, span)?;
        let largest = if dtype == DType::Fp16 {
            f64::from(half::f16::MAX)
        } else {
            f64::from(f32::MAX)
        };
        // A finite number that rounds to infinity is a mistake in the text; infinity itself is meant.
        return if x.is_finite() && x.abs() > largest {
            Err(bad_literal(
                &format!("a number of at most {largest}, the largest of {dtype}"),
                &x.to_string(),
                span,
            ))
        } else {
            Ok(x)
        };
    };
    let x = f64::from(integer(scalar, span)?);
    if (low..=high).contains(&x) {
        Ok(x)
    } else {
        Err(bad_literal(
            &format!("an integer from {low} to {high}"),
            &x.to_string(),
            span,
        ))
    }
}

fn float(scalar: &Scalar<'_>, span: Span) -> Result<f64, Fault> {
    match scalar {
        Scalar::Number(n) => {
            number::parse(n).ok_or_else(|| bad_literal("a number", &quoted(n), span))
        }
        Scalar::Bool(_) | Scalar::Str(_) => Err(bad_literal("a number", "something else", span)),
    }
}

/// The scalars of a list that is flat or nested like `dims`; otherwise what the list is.
fn flatten<'a, 't>(
    items: &'a [Item<'t>],
    dims: &[usize],
    out: &mut Vec<(&'a Scalar<'t>, Span)>,
) -> Result<(), String> {
    let flat = items
        .iter()
        .all(|item| matches!(item.kind, ItemKind::Scalar(_)));
    let expected = if flat {
        dims.iter().product()
    } else {
        dims.first().copied().unwrap_or(0)
    };
    if items.len() != expected {
        return Err(format!("a list of {}", items.len()));
    }
    for item in items {
        match (&item.kind, dims) {
            (ItemKind::Scalar(scalar), _) if flat => out.push((scalar, item.span)),
            (ItemKind::List(inner), [_, rest @ ..]) if !rest.is_empty() => {
                flatten(inner, rest, out)?;
            }
            _ => return Err("lists of another depth".into()),
        }
    }
    Ok(())
}

/// The type of a value.
pub(super) fn tensor_type(ty: &Type) -> Result<TensorType, Fault> {
    let Element::Tensor(dtype) = ty.element else {
        return Err(foreign(ty));
    };
    let bad = |rule| {
        Fault::new(
            ParseErrorKind::BadShape {
                found: format!("{:?}", ty.dims),
                rule,
            },
            ty.span,
        )
    };
    if ty.dims.len() > MAX_RANK {
        return Err(bad("at most 8 axes"));
    }
    if ty.dims.contains(&0) {
        return Err(bad("every axis has at least one element"));
    }
    let elements = checked_elements(&ty.dims);
    if elements.is_none() {
        return Err(bad("at most 2^40 elements"));
    }
    Ok(TensorType::new(dtype, ty.dims.as_slice()))
}

/// Number of elements of a shape, when a tensor can have so many.
pub(super) fn checked_elements(dims: &[usize]) -> Option<usize> {
    dims.iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= MAX_ELEMENTS)
}

/// The error for a type that values cannot have.
fn foreign(ty: &Type) -> Fault {
    Fault::new(
        ParseErrorKind::Unsupported {
            what: format!("a tensor of {}", ty.element.name()),
        },
        ty.span,
    )
}

fn count(ty: &TensorType, found: &str, span: Span) -> Fault {
    Fault::new(
        ParseErrorKind::ElementCount {
            ty: ty.clone(),
            expected: match ty.shape.rank() {
                0 => "a scalar".into(),
                _ => format!("{} elements, flat or nested by axis", ty.shape.numel()),
            },
            found: found.into(),
        },
        span,
    )
}

fn quoted(number: &str) -> String {
    format!("`{}`", number.chars().take(40).collect::<String>())
}

pub(super) fn bad_literal(expected: &str, found: &str, span: Span) -> Fault {
    Fault::new(
        ParseErrorKind::BadLiteral {
            expected: expected.into(),
            found: found.into(),
        },
        span,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemoryBlobs,
        parse::{cursor::Cursor, grammar, syntax::ValueKind},
        print::Printer,
    };
    use ane_ir::ops::Attr;

    fn read(text: &str) -> Result<Attr, Box<ParseErrorKind>> {
        let value =
            grammar::value(&mut Cursor::new(text).map_err(|f| f.kind)?).map_err(|f| f.kind)?;
        let ValueKind::Literal(ty, body) = &value.kind else {
            panic!("{text} is a literal");
        };
        Blobs::new(&MemoryBlobs::new())
            .attribute(ty.as_ref(), body, value.span)
            .map_err(|f| f.kind)
    }

    #[test]
    fn every_kind_of_attribute_is_read_as_printed() {
        for attr in [
            Attr::Bool(true),
            Attr::Int(-3),
            Attr::Float(1.0 / 3.0),
            Attr::Str("a \"b\"".into()),
            Attr::Ints(vec![1, -2]),
            Attr::Ints(vec![]),
            Attr::Bools(vec![true, false, true]),
            Attr::Floats(vec![1.0 / 3.0, -0.0, 2.0_f64.powi(-30)]),
            Attr::Strs(vec!["valid".into(), String::new()]),
        ] {
            let text = Printer::default().attribute(&attr, DType::Fp16);
            assert_eq!(read(&text), Ok(attr), "{text}");
        }
    }

    #[test]
    fn lists_without_a_type_are_what_their_elements_are() {
        for (text, attr) in [
            ("[1, 2]", Attr::Ints(vec![1, 2])),
            ("[1, 0.5]", Attr::Floats(vec![1.0, 0.5])),
            ("[true, false]", Attr::Bools(vec![true, false])),
            (r#"["a", "b"]"#, Attr::Strs(vec!["a".into(), "b".into()])),
        ] {
            assert_eq!(read(text), Ok(attr), "{text}");
        }
        for mixed in ["[1, true]", r#"["a", 1]"#, "[true, 1]", "[[1], [2]]"] {
            assert!(read(mixed).is_err(), "{mixed}");
        }
    }

    #[test]
    fn a_typed_list_has_the_length_and_the_elements_that_its_type_says() {
        for wrong in [
            "tensor<bool, [3]>([true, false])",
            "tensor<fp16, [2]>([0x1p+0])",
            "tensor<fp16, [1]>([true])",
            r#"tensor<string, [1]>(["a", "b"])"#,
            "tensor<string, [1]>([1])",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
