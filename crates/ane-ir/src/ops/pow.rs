//! `pow`: power, broadcasting.
//!
//! ```text
//! # Definition   xʸ
//! # Operands     x, y: fp16 | fp32          # Result    broadcast shape, same dtype
//! # Gradient     ct · y · xʸ⁻¹, 0 where y is 0, and ct · xʸ · ln x, 0 where x is 0, as PyTorch; summed over broadcast
//! #              axes
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, Tolerance, TypeError,
    support::elementwise::{Binary, Takes, binary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    numerics::Numerics,
    tensor::{Literal, Real},
};

binary! {
    /// x to the power y, broadcasting.
    Pow as pow
}

impl Binary for Pow {
    const FILL: [Fill; 2] = [Fill::Positive, Fill::Signed];
    const TAKES: Takes = Takes::Floats;
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        x.pow(y)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError> {
        let (x, y) = (cx.xs[0], cx.xs[1]);
        let zero = cx.scalar_like(y, 0.0)?;
        let one = cx.scalar_like(y, 1.0)?;
        let exponent = cx.g.literal(y).and_then(Literal::splat_value);
        let less = cx.g.sub(y, one)?;
        let power = cx.g.pow(x, less)?;
        let mut slope = cx.g.mul(y, power)?;
        // 0 to a negative power is infinite, and 0 times that is NaN.
        if exponent.is_none_or(|y| y == 0.0) {
            let is_constant = cx.g.equal(y, zero)?;
            slope = cx.g.select(is_constant, zero, slope)?;
        }
        let dx = cx.g.mul(ct, slope)?;
        // So is 0 times the logarithm of 0.
        let is_zero = cx.g.equal(x, zero)?;
        let base = cx.g.select(is_zero, one, x)?;
        let ln = cx.g.log(base, 0.0)?;
        let slope = cx.g.mul(cx.ys[0], ln)?;
        let dy = cx.g.mul(ct, slope)?;
        Ok([cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }
}
