//! `square`: a number times itself.
//!
//! ```text
//! # Definition   x · x
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · 2x
//! # Sources      coremltools iOS15 elementwise_unary
//! ```

use super::{
    TypeError,
    support::elementwise::{Unary, unary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    tensor::Real,
};

unary! {
    /// Every element times itself.
    Square as square
}

impl Unary for Square {
    fn of<T: Real>(x: T) -> T {
        x.mul(x)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let two = cx.scalar_like(ct, 2.0)?;
        let slope = cx.g.mul(cx.xs[0], two)?;
        Ok(cx.g.mul(ct, slope)?.into())
    }
}
