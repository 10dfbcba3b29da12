//! `softsign`: a sigmoid without exponentials.
//!
//! ```text
//! # Definition   x / (1 + |x|)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct / (1 + |x|)²
//! # Sources      coremltools iOS15 activation; PyTorch Softsign
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
    /// x / (1 + |x|) of every element.
    Softsign as softsign
}

impl Unary for Softsign {
    fn of<T: Real>(x: T) -> T {
        x.div(T::from_f64(1.0).add(T::from_f64(x.to_f64().abs())))
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let magnitude = cx.g.abs(cx.xs[0])?;
        let one = cx.scalar_like(ct, 1.0)?;
        let divisor = cx.g.add(magnitude, one)?;
        // Twice by the divisor: its square leaves fp16 from |x| = 255 on.
        let once = cx.g.real_div(ct, divisor)?;
        Ok(cx.g.real_div(once, divisor)?.into())
    }
}
