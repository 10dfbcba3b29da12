//! `reduce_sum_square`: sum of squares over axes.
//!
//! ```text
//! # Definition   Σ x²
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     2 · ct · x
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    TypeError,
    support::reduce::{Reduction, reduction},
};
use crate::{autodiff::VjpCx, graph::Value, tensor::Real};

reduction! {
    /// Sum of squares over axes.
    ReduceSumSquare as reduce_sum_square
}

impl Reduction for ReduceSumSquare {
    fn one<T: Real>(group: &[T], sum: impl Fn(&[T]) -> T) -> T {
        let squares: Vec<T> = group.iter().map(|x| x.mul(*x)).collect();
        sum(&squares)
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, _: Value, ct: Value) -> Result<Value, TypeError> {
        let twice = cx.g.add(ct, ct)?;
        cx.g.mul(cx.xs[0], twice)
    }
}
