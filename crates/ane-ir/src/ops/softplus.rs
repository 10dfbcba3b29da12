//! `softplus`: smooth rectified linear unit.
//!
//! ```text
//! # Definition   ln(1 + eˣ), as max(x, 0) + ln(1 + exp(−|x|))
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · sigmoid(x)
//! # ANE          0 from x = 11.09 on by one report (ANEForge, M5): where exp(x) leaves fp16
//! # Sources      coremltools iOS15 activation
//! ```

use super::{
    Tolerance, TypeError,
    support::elementwise::{Unary, unary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    tensor::Real,
};

unary! {
    /// ln(1 + eˣ) of every element.
    Softplus as softplus
}

impl Unary for Softplus {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        let x = x.to_f64();
        let positive = if x < 0.0 { 0.0 } else { x };
        T::from_f64(positive + (-x.abs()).exp().ln_1p())
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        let slope = cx.g.sigmoid(cx.xs[0])?;
        Ok(cx.g.mul(ct, slope)?.into())
    }

    fn composed(g: &mut Graph, x: Value) -> Result<Option<Value>, TypeError> {
        let dtype = g.ty(x).dtype;
        let minus_one = g.scalar(dtype, -1.0)?;
        let one = g.scalar(dtype, 1.0)?;
        let magnitude = g.abs(x)?;
        let negated = g.mul(magnitude, minus_one)?;
        let exp = g.exp(negated)?;
        let sum = g.add(exp, one)?;
        let tail = g.log(sum, 0.0)?;
        let positive = g.relu(x)?;
        Ok(Some(g.add(positive, tail)?))
    }
}
