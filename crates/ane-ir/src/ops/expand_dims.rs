//! `expand_dims`: axes of length 1 put in.
//!
//! ```text
//! # Definition   row-major order kept
//! # Operands     x: any          # Result    rank of x + number of axes, dtype of x
//! # Attributes   axes: positions in the result; negative ones count from its end
//! # Gradient     ct squeezed
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
    /// Axes of length 1 put in.
    ExpandDims {
        /// Positions of the new axes in the result.
        axes: Vec<i32>,
    }
}

impl OpDef for ExpandDims {
    const NAME: &'static str = "expand_dims";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let rank = xs[0].shape.rank() + self.axes.len();
        let bad = || {
            support::attribute(
                Self::NAME,
                "axes",
                format!("distinct axes of a result of rank {rank}, at most {MAX_RANK}"),
                format!("{:?}", self.axes),
            )
        };
        if rank > MAX_RANK {
            return Err(bad());
        }
        let result = Shape::new(&vec![1; rank]);
        let mut new = vec![false; rank];
        for &axis in &self.axes {
            let axis = result.axis(axis).ok_or_else(bad)?;
            if std::mem::replace(&mut new[axis], true) {
                return Err(bad());
            }
        }
        let mut old = xs[0].shape.dims().iter();
        let shape = new
            .into_iter()
            .map(|n| {
                if n {
                    1
                } else {
                    *old.next().expect("as many as are not new")
                }
            })
            .collect();
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
            (support::f(&[2, 3], Fill::Signed), vec![0]),
            (support::f(&[2, 3], Fill::Signed), vec![1, -1]),
            (support::h(&[4, 6], Fill::Signed), vec![2]),
        ]
        .into_iter()
        .map(|(x, axes)| Sample::new(Self { axes }, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` with axes of length 1 at the positions `axes` of the result.
    ///
    /// # Errors
    /// When an axis does not exist in the result, or its rank would exceed [`MAX_RANK`].
    pub fn expand_dims(&mut self, x: Value, axes: &[i32]) -> Result<Value, TypeError> {
        self.push(
            ExpandDims {
                axes: axes.to_vec(),
            },
            &[x],
        )
    }
}
