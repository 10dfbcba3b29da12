//! `pow`: power, broadcasting.
//!
//! ```text
//! # Definition   xʸ
//! # Operands     x, y: fp16 | fp32          # Result    broadcast shape, same dtype
//! # Gradient     ct · y · xʸ⁻¹ and ct · xʸ · ln x, summed over broadcast axes
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
    tensor::Real,
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
        let one = cx.scalar_like(y, 1.0)?;
        let less = cx.g.sub(y, one)?;
        let power = cx.g.pow(x, less)?;
        let slope = cx.g.mul(y, power)?;
        let dx = cx.g.mul(ct, slope)?;
        let ln = cx.g.log(x, 0.0)?;
        let slope = cx.g.mul(cx.ys[0], ln)?;
        let dy = cx.g.mul(ct, slope)?;
        Ok([cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }
}
