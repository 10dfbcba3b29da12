//! MIL text and weight files to modules.
//!
//! Text becomes tokens, tokens a syntax tree of one text's length, the tree a graph; the tree is private and lives only
//! that long. Every dialect that sources saw compile is read: with and without `buildInfo`, scalars bare or as rank-0
//! tensors, parameters as named constants, typed literals or bare literals, `name` given or left out.
//!
//! Nothing here knows an op: operand and attribute names come from [`ane_ir::ops::Op::signature`]. The structural
//! exception is `const`, which is data.

mod apply;
mod cursor;
mod error;
mod grammar;
mod layout;
mod literal;
mod lower;
mod nearest;
mod syntax;

pub use error::{ParseError, ParseErrorKind, Span};

use crate::blob::BlobSource;
use ane_ir::Module;
use error::Fault;

/// Reads a program.
///
/// Constants that are only used as attributes make no node; the others become nodes where they stand, so that a printed
/// graph comes back the [same](ane_ir::Graph::same_as). Weight files are asked for by the paths in the text, once each.
///
/// # Errors
/// The first thing that is wrong, with its place. No text makes this panic or allocate much more than its own length
/// and that of its weight files.
pub fn parse(text: &str, weights: &dyn BlobSource) -> Result<Module, ParseError> {
    module(text, weights).map_err(|fault| ParseError::new(text, fault))
}

fn module(text: &str, weights: &dyn BlobSource) -> Result<Module, Fault> {
    let functions = grammar::program(text)?;
    lower::module(text, &functions, weights)
}
