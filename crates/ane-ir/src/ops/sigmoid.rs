//! `sigmoid`: logistic function.
//!
//! ```text
//! # Definition   1 / (1 + e⁻ˣ)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · y · (1 − y)
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
    /// Logistic function of every element.
    Sigmoid as sigmoid
}

impl Unary for Sigmoid {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        let one = T::from_f64(1.0);
        one.div(one.add(T::from_f64(0.0).sub(x).map(Function::Exp)))
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let y = cx.ys[0];
        let one = cx.scalar_like(y, 1.0)?;
        let d = cx.g.sub(one, y)?;
        let d = cx.g.mul(y, d)?;
        Ok(cx.g.mul(ct, d)?.into())
    }
}
