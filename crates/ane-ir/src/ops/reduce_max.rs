//! `reduce_max`: largest over axes.
//!
//! ```text
//! # Definition   max x; NaN if an element is
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct to the largest, shared equally where several are, as `jnp.max` and PyTorch's amax
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    Fill, Tolerance, TypeError,
    support::reduce::{self, Reduction, reduction},
};
use crate::{autodiff::VjpCx, graph::Value, tensor::Real};

reduction! {
    /// Largest element over axes.
    ReduceMax as reduce_max
}

impl Reduction for ReduceMax {
    const FILL: Fill = Fill::Distinct;
    const TOLERANCE: Tolerance = Tolerance::Exact;

    fn one<T: Real>(group: &[T], _: impl Fn(&[T]) -> T) -> T {
        reduce::max(group)
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, y: Value, ct: Value) -> Result<Value, TypeError> {
        reduce::to_equal(cx, y, ct, &self.axes)
    }
}
