//! `silu`: sigmoid-weighted linear unit.
//!
//! ```text
//! # Definition   x / (1 + e⁻ˣ)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · s · (1 + x · (1 − s)) with s = sigmoid(x)
//! # Sources      coremltools iOS15 activation; Elfwing et al. 2017, arXiv 1702.03118
//! ```

use super::{
    Tolerance, TypeError,
    support::elementwise::{Unary, unary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    tensor::{Function, Real},
};

unary! {
    /// Every element times its logistic function.
    Silu as silu
}

impl Unary for Silu {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        let one = T::from_f64(1.0);
        x.div(one.add(T::from_f64(0.0).sub(x).map(Function::Exp)))
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let x = cx.xs[0];
        let one = cx.scalar_like(x, 1.0)?;
        let s = cx.g.sigmoid(x)?;
        let rest = cx.g.sub(one, s)?;
        let slope = cx.g.mul(x, rest)?;
        let slope = cx.g.add(one, slope)?;
        let slope = cx.g.mul(s, slope)?;
        Ok(cx.g.mul(ct, slope)?.into())
    }

    fn composed(g: &mut Graph, x: Value) -> Result<Option<Value>, TypeError> {
        let s = g.sigmoid(x)?;
        Ok(Some(g.mul(x, s)?))
    }
}
