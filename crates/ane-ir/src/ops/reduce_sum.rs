//! `reduce_sum`: sum over axes.
//!
//! ```text
//! # Definition   Σ x
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct repeated over the reduced axes
//! # ANE          accumulates narrowly by several reports; `legalize` sums by matmul with ones on chip targets
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    TypeError,
    support::reduce::{self, Reduction, reduction},
};
use crate::{autodiff::VjpCx, graph::Value, tensor::Real};

reduction! {
    /// Sum over axes.
    ReduceSum as reduce_sum
}

impl Reduction for ReduceSum {
    fn one<T: Real>(group: &[T], sum: impl Fn(&[T]) -> T) -> T {
        sum(group)
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, _: Value, ct: Value) -> Result<Value, TypeError> {
        reduce::repeat_to(cx.g, ct, cx.xs[0])
    }
}
