//! Sizes of a graph whose batch may be open: PyTorch writes them as expressions of a symbol.

use super::{
    Pt2Error,
    json::{Graph, SymInt, SymIntArgument},
    weights::dtype_of,
};
use crate::aten;
use std::cell::RefCell;

/// Most elements of a tensor: beyond this no engine holds it, and a damaged file is likelier.
const MOST_ELEMENTS: usize = 1 << 40;

/// Deepest expression of sizes.
const DEEPEST: usize = 64;

/// What sizes come to at a batch.
#[derive(Debug)]
pub(super) struct Sizes {
    batch: i64,
    /// The symbol that is the batch, once it has been met.
    symbol: RefCell<Option<String>>,
}

impl Sizes {
    pub(super) fn new(batch: usize) -> Self {
        Self {
            batch: i64::try_from(batch).unwrap_or(i64::MAX),
            symbol: RefCell::new(None),
        }
    }

    /// What PyTorch says a tensor is.
    pub(super) fn tensor(&self, graph: &Graph, name: &str) -> Result<aten::Tensor, Pt2Error> {
        let malformed = |what: &str| Pt2Error::Malformed {
            what: format!("the tensor `{name}` {what}"),
        };
        let meta = graph.tensor_values.get(name);
        let meta = meta.ok_or_else(|| malformed("has no description"))?;
        let mut elements = 1_usize;
        let mut shape = Vec::with_capacity(meta.sizes.len());
        for size in &meta.sizes {
            let size = usize::try_from(self.size(size)?);
            let size = size.map_err(|_| malformed("has a negative size"))?;
            elements = elements
                .checked_mul(size.max(1))
                .filter(|&n| n <= MOST_ELEMENTS)
                .ok_or_else(|| malformed("has more elements than there are"))?;
            shape.push(size);
        }
        Ok(aten::Tensor {
            name: name.to_owned(),
            dtype: dtype_of(meta.dtype),
            shape,
        })
    }

    /// A size.
    pub(super) fn size(&self, size: &SymInt) -> Result<i64, Pt2Error> {
        match size {
            SymInt::AsInt(n) => Ok(*n),
            SymInt::AsExpr { expr_str } => {
                let mut rest = expr_str.as_str();
                let value = self.expression(&mut rest, 0);
                let value = value.filter(|_| rest.trim().is_empty());
                value.ok_or_else(|| Pt2Error::Dynamic {
                    what: expr_str.chars().take(200).collect(),
                })
            }
        }
    }

    /// A size as an argument.
    pub(super) fn argument(&self, graph: &Graph, arg: &SymIntArgument) -> Result<i64, Pt2Error> {
        match arg {
            SymIntArgument::AsInt(n) => Ok(*n),
            SymIntArgument::AsName(name) => match graph.sym_int_values.get(name) {
                Some(size) => self.size(size),
                None => Err(Pt2Error::Malformed {
                    what: format!("the size `{name}` has no description"),
                }),
            },
        }
    }

    /// `Mul(Integer(3), Symbol('s77', positive=True))`, as SymPy writes it.
    fn expression(&self, rest: &mut &str, depth: usize) -> Option<i64> {
        let (function, after) = rest.split_once('(').filter(|_| depth < DEEPEST)?;
        *rest = after;
        match function.trim() {
            "Integer" => {
                let (number, after) = rest.split_once(')')?;
                *rest = after;
                number.trim().parse().ok()
            }
            "Symbol" => {
                let (inside, after) = rest.split_once(')')?;
                *rest = after;
                let name = inside.split(',').next()?.trim();
                let mut symbol = self.symbol.borrow_mut();
                let known = symbol.get_or_insert_with(|| name.to_owned());
                (known == name).then_some(self.batch)
            }
            function @ ("Mul" | "Add") => {
                let mut value = i64::from(function == "Mul");
                loop {
                    let next = self.expression(rest, depth + 1)?;
                    value = match function {
                        "Mul" => value.checked_mul(next)?,
                        _ => value.checked_add(next)?,
                    };
                    *rest = rest.trim_start();
                    let separator = rest.chars().next()?;
                    *rest = &rest[separator.len_utf8()..];
                    match separator {
                        ',' => {}
                        ')' => return Some(value),
                        _ => return None,
                    }
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_the_batch_are_numbers_and_others_are_refused() {
        let sizes = Sizes::new(7);
        let of = |text: &str| {
            sizes.size(&SymInt::AsExpr {
                expr_str: text.to_owned(),
            })
        };
        let batch = "Symbol('s77', positive=True, integer=True)";
        assert_eq!(of(batch).unwrap(), 7);
        assert_eq!(of(&format!("Mul(Integer(3), {batch})")).unwrap(), 21);
        let sum = format!("Add(Mul(Integer(-1), {batch}), Integer(9), {batch})");
        assert_eq!(of(&sum).unwrap(), 9);
        let other = "Symbol('s3', integer=True)";
        for wrong in [
            other,
            "Pow(Integer(2), Integer(2))",
            "Mul(Integer(3)",
            "Integer(x)",
            "",
            &"Add(".repeat(10_000),
            &format!("{batch}{batch}"),
            "Mul(Integer(4611686018427387904), Integer(4))",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
