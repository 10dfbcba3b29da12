//! `reduce_log_sum_exp`: logarithm of the sum of exponentials over axes.
//!
//! ```text
//! # Definition   m + ln Σ exp(x − m) with m = max x
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct · softmax(x): no logarithm in the backward pass
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    Tolerance, TypeError,
    support::reduce::{self, Reduction, reduction},
};
use crate::{
    autodiff::VjpCx,
    graph::Value,
    tensor::{Function, Real},
};

reduction! {
    /// ln Σ eˣ over axes.
    ReduceLogSumExp as reduce_log_sum_exp
}

impl Reduction for ReduceLogSumExp {
    const TOLERANCE: Tolerance = Tolerance::Ulps(2);

    fn one<T: Real>(group: &[T], sum: impl Fn(&[T]) -> T) -> T {
        let m = reduce::max(group);
        if m.to_f64().is_infinite() {
            return m;
        }
        let terms: Vec<T> = group.iter().map(|x| x.sub(m).map(Function::Exp)).collect();
        m.add(sum(&terms).map(Function::Log))
    }

    fn gradient(&self, cx: &mut VjpCx<'_>, y: Value, ct: Value) -> Result<Value, TypeError> {
        let x = cx.xs[0];
        let softmax = if let [axis] = self.axes[..] {
            cx.g.softmax(x, axis)?
        } else {
            let shifted = cx.g.sub(x, y)?;
            cx.g.exp(shifted)?
        };
        cx.g.mul(ct, softmax)
    }
}
