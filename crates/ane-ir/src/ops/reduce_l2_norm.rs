//! `reduce_l2_norm`: square root of the sum of squares over axes.
//!
//! ```text
//! # Definition   √(Σ x²)
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct · x / y; 0 where y is 0, as PyTorch
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    TypeError,
    support::reduce::{Reduction, reduction},
};
use crate::{
    autodiff::VjpCx,
    graph::Value,
    tensor::{Function, Real},
};

reduction! {
    /// Euclidean norm over axes.
    ReduceL2Norm as reduce_l2_norm
}

impl Reduction for ReduceL2Norm {
    fn one<T: Real>(group: &[T], sum: impl Fn(&[T]) -> T) -> T {
        let squares: Vec<T> = group.iter().map(|x| x.mul(*x)).collect();
        sum(&squares).map(Function::Sqrt)
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, y: Value, ct: Value) -> Result<Value, TypeError> {
        let zero = cx.scalar_like(ct, 0.0)?;
        let flat = cx.g.equal(y, zero)?;
        let slope = cx.g.real_div(ct, y)?;
        let slope = cx.g.select(flat, zero, slope)?;
        cx.g.mul(cx.xs[0], slope)
    }
}
