//! `reduce_min`: smallest over axes.
//!
//! ```text
//! # Definition   min x; NaN if an element is
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct to the smallest, shared equally where several are, as `jnp.min` and PyTorch's amin
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    Fill, Tolerance, TypeError,
    support::reduce::{self, Reduction, reduction},
};
use crate::{autodiff::VjpCx, graph::Value, tensor::Real};

reduction! {
    /// Smallest element over axes.
    ReduceMin as reduce_min
}

impl Reduction for ReduceMin {
    const FILL: Fill = Fill::Distinct;
    const TOLERANCE: Tolerance = Tolerance::Exact;

    fn one<T: Real>(group: &[T], _: impl Fn(&[T]) -> T) -> T {
        reduce::min(group)
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, y: Value, ct: Value) -> Result<Value, TypeError> {
        reduce::to_equal(cx, y, ct, &self.axes)
    }
}
