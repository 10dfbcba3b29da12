//! `not_equal`: comparison, broadcasting.
//!
//! ```text
//! # Definition   x != y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, bool
//! # Gradient     zero everywhere
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, TypeError,
    support::elementwise::{Binary, binary, truth},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    numerics::Numerics,
    tensor::Real,
    types::DType,
};

binary! {
    /// Whether x differs from y, broadcasting; NaN differs from everything.
    NotEqual as not_equal
}

impl Binary for NotEqual {
    const FILL: [Fill; 2] = [Fill::Distinct; 2];
    const RESULT: Option<DType> = Some(DType::Bool);

    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        truth(x != y)
    }

    fn gradient(_: &mut VjpCx<'_>, _: Value) -> Result<[Cotangent; 2], TypeError> {
        Ok([Cotangent::Zero; 2])
    }
}
