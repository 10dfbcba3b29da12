//! `minimum`: the smaller of two, broadcasting.
//!
//! ```text
//! # Definition   x if x < y or x is NaN, else y
//! # Operands     x, y: fp16 | fp32 | int32          # Result    broadcast shape, same dtype
//! # Gradient     ct to the smaller, half to each where they are equal, as PyTorch
//! # Sources      coremltools iOS15 elementwise_binary
//! ```

use super::{
    Fill, TypeError,
    support::elementwise::{self, Binary, binary},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::Real,
};

binary! {
    /// The smaller of x and y, broadcasting.
    Minimum as minimum
}

impl Binary for Minimum {
    const FILL: [Fill; 2] = [Fill::Positive, Fill::Distinct];

    fn of<T: Real>(x: T, y: T, _: &Numerics) -> T {
        if x < y || x.is_nan() { x } else { y }
    }

    fn gradient(cx: &mut VjpCx<'_>, ct: Value) -> Result<[Cotangent; 2], TypeError> {
        elementwise::to_winner(cx, ct, Graph::less)
    }
}
