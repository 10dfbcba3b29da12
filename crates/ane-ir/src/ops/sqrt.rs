//! `sqrt`: square root.
//!
//! ```text
//! # Definition   √x
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · 0.5 / y
//! # Sources      coremltools iOS15 elementwise_unary
//! ```

use super::{
    Fill, TypeError,
    support::elementwise::{Unary, unary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    tensor::{Function, Real},
};

unary! {
    /// Square root of every element.
    Sqrt as sqrt
}

impl Unary for Sqrt {
    const FILL: Fill = Fill::Positive;

    fn of<T: Real>(x: T) -> T {
        x.map(Function::Sqrt)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let half = cx.scalar_like(ct, 0.5)?;
        let scaled = cx.g.mul(ct, half)?;
        Ok(cx.g.real_div(scaled, cx.ys[0])?.into())
    }
}
