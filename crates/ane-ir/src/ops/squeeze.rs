//! `squeeze`: axes of length 1 taken out.
//!
//! ```text
//! # Definition   row-major order kept
//! # Operands     x: any          # Result    rank of x − number of axes, dtype of x
//! # Attributes   axes: positions in x; all axes of length 1 when left out
//! # Gradient     ct reshaped back
//! # Sources      coremltools iOS15 tensor_transformation
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};

attributes! {
    /// Axes of length 1 taken out.
    Squeeze {
        /// Axes to take out.
        axes: Option<Vec<i32>>,
    }
}

impl OpDef for Squeeze {
    const NAME: &'static str = "squeeze";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let axes: Vec<usize> = match &self.axes {
            None => (0..xs[0].shape.rank())
                .filter(|&i| xs[0].shape.dims()[i] == 1)
                .collect(),
            Some(axes) => {
                let bad = || {
                    support::attribute(
                        Self::NAME,
                        "axes",
                        format!("axes of length 1 of {}", xs[0].shape),
                        format!("{axes:?}"),
                    )
                };
                axes.iter()
                    .map(|&a| {
                        xs[0]
                            .shape
                            .axis(a)
                            .filter(|&a| xs[0].shape.dims()[a] == 1)
                            .ok_or_else(bad)
                    })
                    .collect::<Result<_, _>>()?
            }
        };
        let shape = xs[0]
            .shape
            .dims()
            .iter()
            .enumerate()
            .filter(|(i, _)| !axes.contains(i))
            .map(|(_, &d)| d)
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
            (support::f(&[2, 1, 3], Fill::Signed), Some(vec![1])),
            (support::f(&[1, 2, 1], Fill::Signed), Some(vec![0, -1])),
            (support::h(&[1, 6, 1], Fill::Signed), None),
        ]
        .into_iter()
        .map(|(x, axes)| Sample::new(Self { axes }, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` without the axes `axes`, which have length 1.
    ///
    /// # Errors
    /// When an axis does not exist or is longer.
    pub fn squeeze(&mut self, x: Value, axes: &[i32]) -> Result<Value, TypeError> {
        self.push(
            Squeeze {
                axes: Some(axes.to_vec()),
            },
            &[x],
        )
    }
}
