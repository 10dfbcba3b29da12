//! `tanh`: hyperbolic tangent.
//!
//! ```text
//! # Definition   (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · (1 − y²)
//! # Sources      coremltools iOS15 activation
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
    /// Hyperbolic tangent of every element.
    Tanh as tanh
}

impl Unary for Tanh {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        x.map(Function::Tanh)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let y = cx.ys[0];
        let one = cx.scalar_like(y, 1.0)?;
        let y2 = cx.g.mul(y, y)?;
        let d = cx.g.sub(one, y2)?;
        Ok(cx.g.mul(ct, d)?.into())
    }
}
