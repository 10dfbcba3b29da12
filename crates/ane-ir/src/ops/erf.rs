//! `erf`: Gauss error function.
//!
//! ```text
//! # Definition   2/√π · ∫₀ˣ e^(−t²) dt
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · 2/√π · e^(−x²)
//! # Sources      coremltools iOS15 elementwise_unary
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
    /// Gauss error function of every element.
    Erf as erf
}

impl Unary for Erf {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        x.map(Function::Erf)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let x = cx.xs[0];
        let x2 = cx.g.mul(x, x)?;
        let minus_one = cx.scalar_like(x, -1.0)?;
        let exponent = cx.g.mul(x2, minus_one)?;
        let bell = cx.g.exp(exponent)?;
        let height = cx.scalar_like(x, std::f64::consts::FRAC_2_SQRT_PI)?;
        let slope = cx.g.mul(bell, height)?;
        Ok(cx.g.mul(ct, slope)?.into())
    }
}
