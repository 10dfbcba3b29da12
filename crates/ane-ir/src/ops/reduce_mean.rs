//! `reduce_mean`: mean over axes.
//!
//! ```text
//! # Definition   Σ x / n
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct / n repeated over the reduced axes
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    TypeError,
    support::reduce::{self, Reduction, reduction},
};
use crate::{autodiff::VjpCx, graph::Value, tensor::Real};

reduction! {
    /// Mean over axes.
    ReduceMean as reduce_mean
}

impl Reduction for ReduceMean {
    fn one<T: Real>(group: &[T], sum: impl Fn(&[T]) -> T) -> T {
        sum(group).div(T::from_f64(group.len() as f64))
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, _: Value, ct: Value) -> Result<Value, TypeError> {
        let share = reduce::divided_by_count(cx, ct, &self.axes)?;
        reduce::repeat_to(cx.g, share, cx.xs[0])
    }
}
