//! `sin`: sine.
//!
//! ```text
//! # Definition   sin x, x in radians
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · cos x
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
    /// Sine of every element, in radians.
    Sin as sin
}

impl Unary for Sin {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        x.map(Function::Sin)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let slope = cx.g.cos(cx.xs[0])?;
        Ok(cx.g.mul(ct, slope)?.into())
    }
}
