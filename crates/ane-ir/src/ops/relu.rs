//! `relu`: rectified linear unit.
//!
//! ```text
//! # Definition   max(x, 0)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct where x > 0, else 0; at 0 it is 0, as PyTorch. Read from the result: y > 0 exactly where x > 0
//! # Sources      coremltools iOS15 activation
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
    /// Every element, 0 where it is negative.
    Relu as relu
}

impl Unary for Relu {
    fn of<T: Real>(x: T) -> T {
        let zero = T::from_f64(0.0);
        if x > zero || x.is_nan() { x } else { zero }
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let y = cx.ys[0];
        let zero = cx.scalar_like(y, 0.0)?;
        let positive = cx.g.greater(y, zero)?;
        Ok(cx.g.select(positive, ct, zero)?.into())
    }
}
