//! `floor`: the whole number below.
//!
//! ```text
//! # Definition   largest whole number that is at most x
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
    /// The largest whole number that is at most the element, of every element.
    Floor as floor
}

impl Unary for Floor {
    fn of<T: Real>(x: T) -> T {
        T::from_f64(x.to_f64().floor())
    }

    fn gradient(_: &mut VjpCx<'_>, _: Value) -> Result<Cotangent, TypeError> {
        Ok(Cotangent::Zero)
    }
}
