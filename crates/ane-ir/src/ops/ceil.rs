//! `ceil`: the whole number above.
//!
//! ```text
//! # Definition   smallest whole number that is at least x
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
    /// The smallest whole number that is at least the element, of every element.
    Ceil as ceil
}

impl Unary for Ceil {
    fn of<T: Real>(x: T) -> T {
        T::from_f64(x.to_f64().ceil())
    }

    fn gradient(_: &mut VjpCx<'_>, _: Value) -> Result<Cotangent, TypeError> {
        Ok(Cotangent::Zero)
    }
}
