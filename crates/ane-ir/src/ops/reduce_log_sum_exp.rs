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
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{self, reduce},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Function, Real, Tensor},
    types::TensorType,
};

attributes! {
    /// ln Σ eˣ over axes.
    ReduceLogSumExp {
        /// Axes that are reduced; negative ones count from the end.
        axes: Vec<i32>,
        /// Whether the reduced axes stay, with length 1.
        keep_dims: bool = false,
    }
}

impl OpDef for ReduceLogSumExp {
    const NAME: &'static str = "reduce_log_sum_exp";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        reduce::ty(Self::NAME, xs[0], &self.axes, self.keep_dims)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        reduce::groups(xs[0], &self.axes, self.keep_dims, |group| {
            let m = reduce::max(group);
            if m.to_f64().is_infinite() {
                return m;
            }
            let terms: Vec<T> = group.iter().map(|x| x.sub(m).map(Function::Exp)).collect();
            m.add(reduce::sum(&xs[0].ty, &terms, numerics).map(Function::Log))
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.xs[0];
        let ct = reduce::restore_dims(cx.g, ct, x, &self.axes, self.keep_dims)?;
        let softmax = if let [axis] = self.axes[..] {
            cx.g.softmax(x, axis)?
        } else {
            let y = reduce::restore_dims(cx.g, cx.ys[0], x, &self.axes, self.keep_dims)?;
            let shifted = cx.g.sub(x, y)?;
            cx.g.exp(shifted)?
        };
        Ok(vec![cx.g.mul(ct, softmax)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[2, 3], Fill::Signed), vec![1], true),
            (support::f(&[2, 3, 2], Fill::Signed), vec![0, -1], false),
            (support::f(&[4], Fill::Signed), vec![0], false),
            (support::h(&[3, 70], Fill::Signed), vec![-1], true),
            (support::h(&[70, 3], Fill::Signed), vec![0], false),
            (support::h(&[2, 3, 4, 5], Fill::Signed), vec![1, 2], true),
            (support::h(&[2, 33], Fill::Signed), vec![0, 1], true),
        ]
        .into_iter()
        .map(|(x, axes, keep_dims)| Sample::new(Self { axes, keep_dims }, [x]))
        .collect()
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(2)
    }
}

impl Graph {
    /// ln Σ eˣ over axes.
    ///
    /// # Errors
    /// When `x` is not floating point or an axis does not exist.
    pub fn reduce_log_sum_exp(
        &mut self,
        x: Value,
        axes: &[i32],
        keep_dims: bool,
    ) -> Result<Value, TypeError> {
        self.push(
            ReduceLogSumExp {
                axes: axes.to_vec(),
                keep_dims,
            },
            &[x],
        )
    }
}
