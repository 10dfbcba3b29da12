//! `abs`: magnitude.
//!
//! ```text
//! # Definition   |x|
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · sign(x); 0 at 0, as PyTorch
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
    /// Magnitude of every element.
    Abs as abs
}

impl Unary for Abs {
    fn of<T: Real>(x: T) -> T {
        T::from_f64(x.to_f64().abs())
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let s = cx.g.sign(cx.xs[0])?;
        Ok(cx.g.mul(ct, s)?.into())
    }
}
