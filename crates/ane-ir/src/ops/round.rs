//! `round`: the nearest whole number.
//!
//! ```text
//! # Definition   nearest whole number, of two the even one, as PyTorch and NumPy
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
    /// The nearest whole number of every element, of two the even one.
    Round as round
}

impl Unary for Round {
    fn of<T: Real>(x: T) -> T {
        T::from_f64(x.to_f64().round_ties_even())
    }

    fn gradient(_: &mut VjpCx<'_>, _: Value) -> Result<Cotangent, TypeError> {
        Ok(Cotangent::Zero)
    }
}
