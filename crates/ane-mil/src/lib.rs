//! MIL text, weight blobs and Apple's law.
//!
//! Three boundaries of a program. [`print()`] writes a graph as MIL text beside a weight blob, [`parse()`] reads both back, and
//! [`check`] decides whether a [`ane_ir::Target`] takes the graph at all, by [`RULES`] that each carry their evidence.
//! Only `check` makes a [`LegalGraph`] (and, for probes, [`check_except`]), and only a `LegalGraph` can be printed for a
//! device.
//!
//! What this crate deliberately does not: change graphs (that is [`ane_ir::passes`]), run or compile anything, know any
//! op (printer and parser work from names, operands and attributes; rules look for patterns).
//!
//! ```
//! use ane_ir::{Graph, Target, TensorType};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut g = Graph::new();
//! let x = g.input("x", TensorType::fp16([4, 32]))?;
//! let y = g.softmax(x, -1)?;
//! g.output("y", y)?;
//! let legal = ane_mil::check(g, &"h16".parse::<Target>()?).map_err(|v| v[0].to_string())?;
//! let program = ane_mil::print(&legal);
//! let back = ane_mil::parse(&program.text, &program.blobs())?;
//! assert!(back.functions[0].graph.same_as(legal.graph()));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod blob;
mod identifier;
mod legal;
mod lex;
mod namer;
mod number;
mod parse;
mod print;
pub mod rules;

pub use blob::{
    BlobError, BlobReader, BlobSource, BlobWriter, DirectoryBlobs, MemoryBlobs, NoBlobs,
};
pub use identifier::identifier;
pub use legal::{LegalGraph, check, check_except};
pub use parse::{ParseError, ParseErrorKind, Span, parse};
pub use print::{Program, WEIGHTS_PATH, print, print_module};
pub use rules::{Evidence, RULES, Rule, Violation};
