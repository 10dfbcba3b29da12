//! `logical_or`: disjunction, broadcasting.
//!
//! ```text
//! # Definition   x ∨ y
//! # Operands     x, y: bool          # Result    broadcast shape, bool
//! # Gradient     zero: truth has no derivative
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, TypeError,
    support::elementwise::{self, Binary, Takes, binary, truth},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::Real,
};

binary! {
    /// Whether x or y is true, broadcasting.
    LogicalOr as logical_or
}

impl Binary for LogicalOr {
    const FILL: [Fill; 2] = [Fill::Truth; 2];
    const TAKES: Takes = Takes::Truth;

    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        let zero = T::from_f64(0.0);
        truth(x != zero || y != zero)
    }

    fn gradient(_: &mut VjpCx<'_>, _: Value) -> Result<[Cotangent; 2], TypeError> {
        Ok([Cotangent::Zero; 2])
    }

    fn composed(g: &mut Graph, x: Value, y: Value) -> Result<Option<Value>, TypeError> {
        let (x, y) = (elementwise::number_of(g, x)?, elementwise::number_of(g, y)?);
        let either = g.maximum(x, y)?;
        elementwise::truth_of(g, either).map(Some)
    }
}
