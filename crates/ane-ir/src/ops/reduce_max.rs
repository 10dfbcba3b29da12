//! `reduce_max`: largest over axes.
//!
//! ```text
//! # Definition   max x; NaN if an element is
//! # Operands     x: [*D] fp16 | fp32          # Result    reduced shape, dtype of x
//! # Attributes   axes, keep_dims
//! # Gradient     ct to the largest, shared equally where several are, as `jnp.max`
//! # Sources      coremltools iOS15 reduction
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support::{self, reduce},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};

attributes! {
    /// Largest element over axes.
    ReduceMax {
        /// Axes that are reduced; negative ones count from the end.
        axes: Vec<i32>,
        /// Whether the reduced axes stay, with length 1.
        keep_dims: bool = false,
    }
}

impl OpDef for ReduceMax {
    const NAME: &'static str = "reduce_max";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        reduce::ty(Self::NAME, xs[0], &self.axes, self.keep_dims)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        reduce::groups(xs[0], &self.axes, self.keep_dims, |group| {
            let _ = numerics;
            reduce::max(group)
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.xs[0];
        let ct = reduce::restore_dims(cx.g, ct, x, &self.axes, self.keep_dims)?;
        let y = reduce::restore_dims(cx.g, cx.ys[0], x, &self.axes, self.keep_dims)?;
        let largest = cx.g.equal(x, y)?;
        let (zero, one) = (cx.scalar_like(ct, 0.0)?, cx.scalar_like(ct, 1.0)?);
        let mask = cx.g.select(largest, one, zero)?;
        let count = cx.g.reduce_sum(mask, &self.axes, true)?;
        let share = cx.g.real_div(ct, count)?;
        Ok(vec![cx.g.mul(mask, share)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[2, 3], Fill::Distinct), vec![1], true),
            (support::f(&[2, 3, 2], Fill::Distinct), vec![0, -1], false),
            (support::f(&[4], Fill::Distinct), vec![0], false),
            (support::h(&[3, 70], Fill::Distinct), vec![-1], true),
            (support::h(&[70, 3], Fill::Distinct), vec![0], false),
            (support::h(&[2, 3, 4, 5], Fill::Distinct), vec![1, 2], true),
            (support::h(&[2, 33], Fill::Distinct), vec![0, 1], true),
        ]
        .into_iter()
        .map(|(x, axes, keep_dims)| Sample::new(Self { axes, keep_dims }, [x]))
        .collect()
    }
}

impl Graph {
    /// Largest element over axes.
    ///
    /// # Errors
    /// When `x` is not floating point or an axis does not exist.
    pub fn reduce_max(
        &mut self,
        x: Value,
        axes: &[i32],
        keep_dims: bool,
    ) -> Result<Value, TypeError> {
        self.push(
            ReduceMax {
                axes: axes.to_vec(),
                keep_dims,
            },
            &[x],
        )
    }
}
