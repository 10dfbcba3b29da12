//! Debug text of graphs: one line per node, for messages and logs. MIL text is `ane-mil`'s.

use crate::{
    graph::Graph,
    ops::{Arity, Attr},
};
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &v in self.inputs() {
            writeln!(f, "{v}: {} = input {}", self.ty(v), self.port(v))?;
        }
        for node in self.nodes() {
            for (i, &r) in node.results.iter().enumerate() {
                let comma = if i > 0 { ", " } else { "" };
                write!(f, "{comma}{r}: {}", self.ty(r))?;
            }
            write!(f, " = {}(", node.op.name())?;
            let mut comma = "";
            for (operand, group) in node.view(&node.operands).groups() {
                for x in group {
                    write!(f, "{comma}")?;
                    if operand.arity == Arity::Optional {
                        write!(f, "{}=", operand.name)?;
                    }
                    write!(f, "{x}")?;
                    comma = ", ";
                }
            }
            for (name, attr) in node.op.attrs() {
                write!(f, "{comma}{name}={attr}")?;
                comma = ", ";
            }
            writeln!(f, ")")?;
        }
        for &v in self.outputs() {
            writeln!(f, "output {} = {v}", self.port(v))?;
        }
        Ok(())
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Ints(v) => write!(f, "{v:?}"),
            Self::Bools(v) => write!(f, "{v:?}"),
            Self::Floats(v) => write!(f, "{v:?}"),
            Self::Strs(v) => write!(f, "{v:?}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Str(s) => write!(f, "{s:?}"),
            Self::Literal(l) => match l.splat_value() {
                Some(x) => write!(f, "{x}"),
                None => write!(f, "<{} bytes>", l.bytes().len()),
            },
        }
    }
}
