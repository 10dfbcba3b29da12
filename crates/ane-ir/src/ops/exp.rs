//! `exp`: eˣ.
//!
//! ```text
//! # Definition   eˣ
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · y
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
    /// e to the power of every element.
    Exp as exp
}

impl Unary for Exp {
    const TOLERANCE: Tolerance = Tolerance::Ulps(1);

    fn of<T: Real>(x: T) -> T {
        x.map(Function::Exp)
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<Cotangent, TypeError> {
        Ok(cx.g.mul(ct, cx.ys[0])?.into())
    }
}
