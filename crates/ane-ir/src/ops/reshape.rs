//! `reshape`: the same elements under another shape.
//!
//! ```text
//! # Definition   row-major order kept; one dimension may be −1 and is inferred
//! # Operands     x: any          # Result    `shape`, dtype of x
//! # Attributes   shape
//! # Gradient     ct reshaped back
//! # ANE          rules bare_movement, wide_rows
//! # Sources      coremltools iOS15 tensor_transformation
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{MAX_RANK, Shape, TensorType},
};

attributes! {
    /// The same elements under another shape.
    Reshape {
        /// New dimensions, one of which may be −1.
        shape: Vec<i32>,
    }
}

impl OpDef for Reshape {
    const NAME: &'static str = "reshape";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let bad = || {
            support::attribute(
                Self::NAME,
                "shape",
                format!(
                    "dimensions of {} elements, rank at most {MAX_RANK}",
                    xs[0].shape.numel()
                ),
                format!("{:?}", self.shape),
            )
        };
        if self.shape.len() > MAX_RANK || self.shape.iter().filter(|&&d| d < 0).count() > 1 {
            return Err(bad());
        }
        let known: usize = self
            .shape
            .iter()
            .filter_map(|&d| usize::try_from(d).ok())
            .try_fold(1, usize::checked_mul)
            .ok_or_else(bad)?;
        let dims: Vec<usize> = self
            .shape
            .iter()
            .map(|&d| match usize::try_from(d) {
                Ok(d) => Ok(d),
                Err(_) if d == -1 && known > 0 => Ok(xs[0].shape.numel() / known),
                Err(_) => Err(bad()),
            })
            .collect::<Result<_, _>>()?;
        let shape = Shape::new(&dims);
        if shape.numel() != xs[0].shape.numel() {
            return Err(bad());
        }
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape,
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[&xs[0].ty]))
            .expect("the node was typed when it was made")
            .remove(0);
        vec![Tensor {
            ty,
            data: xs[0].data.clone(),
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };

        let shape = cx.g.ty(cx.xs[0]).shape.clone();
        Ok(vec![cx.g.reshape(ct, &shape)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[2, 3], Fill::Signed), vec![3, 2]),
            (support::f(&[2, 3], Fill::Signed), vec![-1]),
            (support::h(&[4, 6], Fill::Signed), vec![2, -1, 3]),
            (support::h(&[1], Fill::Signed), vec![]),
        ]
        .into_iter()
        .map(|(x, shape)| Sample::new(Self { shape }, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` under another shape.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(&mut self, x: Value, shape: &Shape) -> Result<Value, TypeError> {
        let shape = shape
            .dims()
            .iter()
            .map(|&d| i32::try_from(d).unwrap_or(i32::MAX))
            .collect();
        self.push(Reshape { shape }, &[x])
    }
}
