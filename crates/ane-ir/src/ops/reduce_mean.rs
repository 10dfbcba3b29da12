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
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
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
    /// Mean over axes.
    ReduceMean {
        /// Axes that are reduced; negative ones count from the end.
        axes: Vec<i32>,
        /// Whether the reduced axes stay, with length 1.
        keep_dims: bool = false,
    }
}

impl OpDef for ReduceMean {
    const NAME: &'static str = "reduce_mean";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        reduce::ty(Self::NAME, xs[0], &self.axes, self.keep_dims)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        reduce::groups(xs[0], &self.axes, self.keep_dims, |group| {
            reduce::sum(&xs[0].ty, group, numerics).div(T::from_f64(group.len() as f64))
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.xs[0];
        let ct = reduce::restore_dims(cx.g, ct, x, &self.axes, self.keep_dims)?;
        let n = cx.g.ty(x).shape.numel() / cx.g.ty(ct).shape.numel();
        let share = cx.scalar_like(ct, 1.0 / n as f64)?;
        let ct = cx.g.mul(ct, share)?;
        Ok(vec![reduce::repeat_to(cx.g, ct, x)?.into()])
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
        Tolerance::Sum
    }
}

impl Graph {
    /// Mean over axes.
    ///
    /// # Errors
    /// When `x` is not floating point or an axis does not exist.
    pub fn reduce_mean(
        &mut self,
        x: Value,
        axes: &[i32],
        keep_dims: bool,
    ) -> Result<Value, TypeError> {
        self.push(
            ReduceMean {
                axes: axes.to_vec(),
                keep_dims,
            },
            &[x],
        )
    }
}
