//! `add`: sum, broadcasting.
//!
//! ```text
//! # Definition   x + y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct to both, summed over broadcast axes
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    TypeError,
    support::elementwise::{Binary, binary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    numerics::Numerics,
    tensor::Real,
};

binary! {
    /// x + y, broadcasting.
    Add as add
}

impl Binary for Add {
    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        x.add(y)
    }

    fn of_integers(x: i32, y: i32) -> Option<i32> {
        Some(x.wrapping_add(y))
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError> {
        Ok([cx.unbroadcast(ct, 0)?, cx.unbroadcast(ct, 1)?])
    }
}
