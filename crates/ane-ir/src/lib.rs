//! The language of ane-trainer.
//!
//! A [`Graph`] is a pure function on tensors in single static assignment form: nodes in a sequence, operands before
//! uses, static shapes of rank at most eight. A [`Node`] applies one [`ops::Op`] and yields one or more results;
//! [`Value`] numbers results and inputs alike, in order of creation. A [`Module`] is a set of named functions.
//!
//! What this crate holds: the types, the op set (one file per op in `ops/`, joined by one list), reverse-mode
//! differentiation from graph to graph, the passes, the facts about each [`Target`], and [`eval`], the definition of
//! every op. What it deliberately does not: MIL text, devices, files, clocks, threads.
//!
//! ```
//! use ane_ir::{Graph, TensorType, Tensor, Numerics, autodiff, eval};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut g = Graph::new();
//! let x = g.input("x", TensorType::fp32([2, 3]))?;
//! let y = g.tanh(x)?;
//! let loss = g.reduce_sum(y, &[0, 1], false)?;
//! let seed = g.scalar(g.ty(loss).dtype, 1.0)?;
//! let dx = autodiff::vjp(&mut g, &[loss], &[seed], &[x])?;
//! g.output("dx", dx[0].ok_or("no gradient")?)?;
//! let out = eval(&g, &[Tensor::full(TensorType::fp32([2, 3]), 0.0_f32)], &Numerics::ieee())?;
//! assert_eq!(out[0].data, vec![1.0; 6]);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod autodiff;
mod display;
mod eval;
mod graph;
mod numerics;
mod operands;
pub mod ops;
pub mod passes;
pub mod pattern;
mod place;
mod target;
mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
mod type_error;
mod types;
mod verify;

pub use eval::{EvalError, Evaluated, eval, eval_literals, eval_nodes};
pub use graph::{Def, Function, Graph, GraphError, Module, Node, PartError, Results, Value};
pub use numerics::{Accumulate, Intermediates, NonFinite, Numerics, SILICON_INF_PRODUCT};
pub use operands::{Argument, Arity, Operand, Operands, Segments};
pub use ops::TypeError;
pub use place::Place;
pub use target::{Chip, OpSupport, ParseTargetError, Route, Target, op_support};
pub use tensor::{Function as ElementaryFunction, Literal, Real, Single, Tensor, erf};
pub use types::{DType, MAX_RANK, Shape, TensorType};
pub use verify::{VerifyError, verify};
