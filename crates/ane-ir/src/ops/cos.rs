//! `cos`: cosine.
//!
//! ```text
//! # Definition   cos x, x in radians
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     −ct · sin x
//! # Sources      coremltools iOS15 elementwise_unary
//! ```

use super::{
    Tolerance, TypeError,
    support::elementwise::{Unary, unary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    tensor::{Function, Real},
};

unary! {
    /// Cosine of every element, in radians.
    Cos as cos
}

impl Unary for Cos {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        x.map(Function::Cos)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let sin = cx.g.sin(cx.xs[0])?;
        let minus_one = cx.scalar_like(sin, -1.0)?;
        let slope = cx.g.mul(sin, minus_one)?;
        Ok(cx.g.mul(ct, slope)?.into())
    }
}
