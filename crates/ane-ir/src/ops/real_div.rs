//! `real_div`: quotient, broadcasting.
//!
//! ```text
//! # Definition   x / y
//! # Operands     x, y: fp16 | fp32          # Result    broadcast shape, same dtype
//! # Gradient     ct / y and −ct · z / y with z = x / y, summed over broadcast axes
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    TypeError,
    support::elementwise::{Binary, Takes, binary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    numerics::Numerics,
    tensor::Real,
};

binary! {
    /// x / y, broadcasting.
    RealDiv as real_div
}

impl Binary for RealDiv {
    const TAKES: Takes = Takes::Floats;

    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        x.div(y)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError> {
        let dx = cx.g.real_div(ct, cx.xs[1])?;
        let minus_one = cx.scalar_like(ct, -1.0)?;
        let scaled = cx.g.mul(dx, cx.ys[0])?;
        let dy = cx.g.mul(scaled, minus_one)?;
        Ok([cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }
}
