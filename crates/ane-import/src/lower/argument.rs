//! Arguments of nodes: tensors as values, numbers as they are.

use super::{Cx, Item};
use crate::{
    aten::{Arg, Node},
    error::ImportError,
};
use ane_ir::{DType, Value};

impl Cx<'_> {
    fn item(&self, node: &Node, name: &str, arg: &Arg) -> Result<Item, ImportError> {
        let found = match arg {
            Arg::Tensor(tensor) => self.items.get(tensor).cloned(),
            _ => None,
        };
        found.ok_or_else(|| argument(node, name, "a tensor"))
    }

    fn value(
        &mut self,
        node: &Node,
        name: &str,
        arg: &Arg,
        wide: bool,
    ) -> Result<(Value, Vec<usize>), ImportError> {
        match self.item(node, name, arg)? {
            Item::Value(value, tensor) => Ok((value, tensor.shape)),
            Item::Input(index, tensor) => {
                let value = self.frame.input(index, &tensor, wide)?;
                Ok((value, tensor.shape))
            }
            Item::Missing(op) => Err(self.unsupported(
                node,
                &format!("`{name}`, which is a result of {op} that is not computed here"),
            )),
        }
    }

    /// A tensor argument.
    pub(crate) fn tensor(&mut self, node: &Node, name: &str) -> Result<Value, ImportError> {
        let arg = node
            .arg(name)
            .ok_or_else(|| argument(node, name, "a tensor"))?;
        Ok(self.value(node, name, arg, false)?.0)
    }

    /// A tensor argument of real numbers: others become such.
    pub(crate) fn real_tensor(&mut self, node: &Node, name: &str) -> Result<Value, ImportError> {
        let x = self.tensor(node, name)?;
        if self.g().ty(x).dtype == DType::Fp32 {
            return Ok(x);
        }
        self.cast(x, DType::Fp16)
    }

    /// A tensor argument in fp32, read as it is where it is an input.
    pub(crate) fn wide_tensor(&mut self, node: &Node, name: &str) -> Result<Value, ImportError> {
        let arg = node
            .arg(name)
            .ok_or_else(|| argument(node, name, "a tensor"))?;
        let (value, _) = self.value(node, name, arg, true)?;
        self.cast(value, DType::Fp32)
    }

    /// A tensor argument that may be left out.
    pub(crate) fn optional_tensor(
        &mut self,
        node: &Node,
        name: &str,
    ) -> Result<Option<Value>, ImportError> {
        node.arg(name).map(|_| self.tensor(node, name)).transpose()
    }

    /// A list of tensors.
    pub(crate) fn tensors(&mut self, node: &Node, name: &str) -> Result<Vec<Value>, ImportError> {
        let Some(Arg::List(all)) = node.arg(name) else {
            return Err(argument(node, name, "a list of tensors"));
        };
        let of = |arg: &Arg| Ok(self.value(node, name, arg, false)?.0);
        all.iter().map(of).collect()
    }

    /// Whether the argument is a tensor.
    pub(crate) fn is_tensor(node: &Node, name: &str) -> bool {
        matches!(node.arg(name), Some(Arg::Tensor(_)))
    }

    /// PyTorch's shape of a tensor argument.
    pub(crate) fn dims(&self, node: &Node, name: &str) -> Result<Vec<usize>, ImportError> {
        let arg = node
            .arg(name)
            .ok_or_else(|| argument(node, name, "a tensor"))?;
        match self.item(node, name, arg)? {
            Item::Value(_, tensor) | Item::Input(_, tensor) => Ok(tensor.shape),
            Item::Missing(_) => Err(argument(node, name, "a tensor")),
        }
    }

    /// A number argument, a scalar of any kind.
    pub(crate) fn number(node: &Node, name: &str) -> Result<Option<f64>, ImportError> {
        match node.arg(name) {
            None => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(*i as f64)),
            Some(Arg::Float(x)) => Ok(Some(*x)),
            Some(Arg::Bool(b)) => Ok(Some(f64::from(u8::from(*b)))),
            Some(_) => Err(argument(node, name, "a number")),
        }
    }

    /// A whole number argument.
    pub(crate) fn int(node: &Node, name: &str) -> Result<Option<i64>, ImportError> {
        match node.arg(name) {
            None => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(*i)),
            Some(_) => Err(argument(node, name, "a whole number")),
        }
    }

    /// A truth value argument.
    pub(crate) fn bool(node: &Node, name: &str) -> Result<Option<bool>, ImportError> {
        match node.arg(name) {
            None => Ok(None),
            Some(Arg::Bool(b)) => Ok(Some(*b)),
            Some(_) => Err(argument(node, name, "true or false")),
        }
    }

    /// A list of whole numbers; a single one is a list of it.
    pub(crate) fn ints(node: &Node, name: &str) -> Result<Option<Vec<i64>>, ImportError> {
        let wrong = || argument(node, name, "whole numbers");
        match node.arg(name) {
            None => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(vec![*i])),
            Some(Arg::List(all)) => all
                .iter()
                .map(|arg| match arg {
                    Arg::Int(i) => Ok(*i),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }

    /// A list of sizes, one per spatial axis; a single one stands for all.
    pub(crate) fn sizes(
        node: &Node,
        name: &str,
        axes: usize,
    ) -> Result<Option<Vec<usize>>, ImportError> {
        let Some(found) = Self::ints(node, name)? else {
            return Ok(None);
        };
        let wrong = || argument(node, name, "sizes, one for every spatial axis");
        let mut sizes = found
            .iter()
            .map(|&i| usize::try_from(i).map_err(|_| wrong()))
            .collect::<Result<Vec<_>, _>>()?;
        if sizes.len() == 1 {
            sizes = vec![sizes[0]; axes];
        }
        match sizes.len() {
            0 => Ok(None),
            n if n == axes => Ok(Some(sizes)),
            _ => Err(wrong()),
        }
    }

    /// A list of truth values.
    pub(crate) fn bools(node: &Node, name: &str) -> Result<Vec<bool>, ImportError> {
        let wrong = || argument(node, name, "truth values");
        let Some(Arg::List(all)) = node.arg(name) else {
            return Err(wrong());
        };
        all.iter()
            .map(|arg| match arg {
                Arg::Bool(b) => Ok(*b),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// An axis of a tensor of this rank, which may be counted from behind.
    pub(crate) fn axis(
        node: &Node,
        name: &str,
        axis: i64,
        rank: usize,
    ) -> Result<usize, ImportError> {
        // A scalar has axis 0 for PyTorch.
        let rank = rank.max(1) as i64;
        let at = if axis < 0 { axis + rank } else { axis };
        (0..rank)
            .contains(&at)
            .then_some(at as usize)
            .ok_or_else(|| argument(node, name, "an axis of the tensor"))
    }

    /// The error of an op that is asked for more than its lowering does.
    pub(crate) fn unsupported(&self, node: &Node, what: &str) -> ImportError {
        ImportError::Unsupported {
            op: node.target.clone(),
            what: what.to_owned(),
            place: node.place(),
        }
    }
}

/// The error of an argument that is not what it should be.
pub(crate) fn argument(node: &Node, name: &str, expected: &'static str) -> ImportError {
    ImportError::Argument {
        op: node.target.clone(),
        argument: name.to_owned(),
        expected,
        place: node.place(),
    }
}
