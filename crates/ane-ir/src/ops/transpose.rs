//! `transpose`: axes in another order.
//!
//! ```text
//! # Definition   result[i_perm[0], …] = x[i_0, …]
//! # Operands     x: any          # Result    shape permuted, dtype of x
//! # Attributes   perm: which axis of x each axis of the result is
//! # Gradient     ct transposed back
//! # Sources      coremltools iOS15 tensor_transformation
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// Axes in another order.
    Transpose {
        /// Which axis of x each axis of the result is.
        perm: Vec<i32>,
    }
}

impl OpDef for Transpose {
    const NAME: &'static str = "transpose";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let perm = self.axes_of(&xs[0].shape)?;
        let shape = perm.iter().map(|&a| xs[0].shape.dims()[a]).collect();
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape,
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let perm = self
            .axes_of(&xs[0].ty.shape)
            .expect("the node was typed when it was made");
        let strides = xs[0].ty.shape.strides();
        let shape: Shape = perm.iter().map(|&a| xs[0].ty.shape.dims()[a]).collect();
        let mut offsets = vec![0];
        for (&axis, &len) in perm.iter().zip(shape.dims()) {
            offsets = offsets
                .iter()
                .flat_map(|&o| (0..len).map(move |i| (o, i)))
                .map(|(o, i)| o + i * strides[axis])
                .collect();
        }
        vec![Tensor {
            ty: TensorType {
                dtype: xs[0].ty.dtype,
                shape,
            },
            data: offsets.into_iter().map(|o| xs[0].data[o]).collect(),
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };

        let perm = self.axes_of(&cx.g.ty(cx.xs[0]).shape)?;
        let mut inverse = vec![0; perm.len()];
        for (i, &axis) in perm.iter().enumerate() {
            inverse[axis] = i32::try_from(i).expect("a rank fits an i32");
        }
        Ok(vec![cx.g.transpose(ct, &inverse)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[2, 3], Fill::Signed), vec![1, 0]),
            (support::f(&[2, 3, 2], Fill::Signed), vec![2, 0, 1]),
            (support::h(&[5, 33], Fill::Signed), vec![-1, 0]),
            (support::h(&[2, 3, 4, 5], Fill::Signed), vec![0, 2, 1, 3]),
        ]
        .into_iter()
        .map(|(x, perm)| Sample::new(Self { perm }, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` with its axes in the order `perm`.
    ///
    /// # Errors
    /// When `perm` is not a permutation of the axes.
    pub fn transpose(&mut self, x: Value, perm: &[i32]) -> Result<Value, TypeError> {
        self.push(
            Transpose {
                perm: perm.to_vec(),
            },
            &[x],
        )
    }
}

impl Transpose {
    /// The permutation with negative axes resolved.
    ///
    /// # Errors
    /// When it is not a permutation of the axes of `x`.
    pub fn axes_of(&self, x: &Shape) -> Result<Vec<usize>, TypeError> {
        let axes: Option<Vec<usize>> = self.perm.iter().map(|&a| x.axis(a)).collect();
        let mut seen = vec![false; x.rank()];
        for &a in axes.iter().flatten() {
            seen[a] = true;
        }
        match axes {
            Some(axes) if axes.len() == x.rank() && seen.iter().all(|&s| s) => Ok(axes),
            _ => Err(support::attribute(
                Self::NAME,
                "perm",
                format!("a permutation of the axes of {x}"),
                format!("{:?}", self.perm),
            )),
        }
    }
}
