//! `sub`: difference, broadcasting.
//!
//! ```text
//! # Definition   x − y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct and −ct, summed over broadcast axes
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
    /// x − y, broadcasting.
    Sub as sub
}

impl Binary for Sub {
    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        x.sub(y)
    }

    fn of_integers(x: i32, y: i32) -> Option<i32> {
        Some(x.wrapping_sub(y))
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError> {
        let minus_one = cx.scalar_like(ct, -1.0)?;
        let negated = cx.g.mul(ct, minus_one)?;
        Ok([cx.unbroadcast(ct, 0)?, cx.unbroadcast(negated, 1)?])
    }
}
