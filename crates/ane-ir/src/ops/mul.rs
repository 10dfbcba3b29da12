//! `mul`: product, broadcasting.
//!
//! ```text
//! # Definition   x · y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct · y and ct · x, summed over broadcast axes
//! # ANE          rule scaled_reduction; silicon returns −52416 for a product with an infinity (aneforge faq, M5)
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    TypeError,
    support::elementwise::{Binary, binary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::Value,
    numerics::{NonFinite, Numerics, SILICON_INF_PRODUCT},
    tensor::Real,
};

binary! {
    /// x · y, broadcasting.
    Mul as mul
}

impl Binary for Mul {
    fn of<T: Real>(x: T, y: T, numerics: &Numerics) -> T {
        let infinite = x.to_f64().is_infinite() || y.to_f64().is_infinite();
        if numerics.non_finite == NonFinite::Silicon && infinite {
            T::from_f64(f64::from(SILICON_INF_PRODUCT))
        } else {
            x.mul(y)
        }
    }

    fn of_integers(x: i32, y: i32) -> Option<i32> {
        Some(x.wrapping_mul(y))
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError> {
        let dx = cx.g.mul(ct, cx.xs[1])?;
        let dy = cx.g.mul(ct, cx.xs[0])?;
        Ok([cx.unbroadcast(dx, 0)?, cx.unbroadcast(dy, 1)?])
    }
}
