//! `sign`: −1, 0 or 1.
//!
//! ```text
//! # Definition   x/|x|, 0 at 0
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     zero everywhere
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
    /// Sign of every element: −1, 0 or 1.
    Sign as sign
}

impl Unary for Sign {
    fn of<T: Real>(x: T) -> T {
        let x = x.to_f64();
        T::from_f64(if x > 0.0 {
            1.0
        } else if x < 0.0 {
            -1.0
        } else {
            x
        })
    }

    fn gradient(_: &mut VjpCx<'_>, _: Value) -> Result<Cotangent, TypeError> {
        Ok(Cotangent::Zero)
    }
}
