//! `tile`: a tensor repeated along its axes.
//!
//! ```text
//! # Definition   result[i…] = x[i mod d…]
//! # Operands     x: any          # Result    d · reps on every axis, dtype of x
//! # Attributes   reps: how often, for every axis
//! # Gradient     ct summed over the repetitions
//! # Sources      coremltools iOS15 tensor_operation; NumPy tile
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{DType, Shape, TensorType},
};

attributes! {
    /// A tensor repeated along its axes.
    Tile {
        /// How often, for every axis.
        reps: Vec<i32>,
    }
}

impl OpDef for Tile {
    const NAME: &'static str = "tile";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let reps = self.repetitions(&xs[0].shape)?;
        let lengths = xs[0].shape.dims().iter().zip(reps);
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: lengths.map(|(d, r)| d * r).collect(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let infallible = "the node was typed when it was made";
        let reps = self.repetitions(&x.ty.shape).expect(infallible);
        let mut offsets = vec![0];
        let axes = x.ty.shape.dims().iter().zip(x.ty.shape.strides());
        for ((&length, stride), reps) in axes.zip(&reps) {
            offsets = offsets
                .iter()
                .flat_map(|o| (0..length * reps).map(move |i| o + i % length * stride))
                .collect();
        }
        let lengths = x.ty.shape.dims().iter().zip(reps);
        vec![Tensor {
            ty: TensorType {
                dtype: x.ty.dtype,
                shape: lengths.map(|(d, r)| d * r).collect(),
            },
            data: offsets.into_iter().map(|o| x.data[o]).collect(),
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(mut ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.g.ty(cx.xs[0]).clone();
        if !x.dtype.is_float() {
            return Ok(vec![Cotangent::Zero]);
        }
        let reps = self.repetitions(&x.shape)?;
        // The last axis first, so that what lies before an axis is still as long as in the result.
        for axis in (0..x.shape.rank()).rev().filter(|&axis| reps[axis] > 1) {
            let outer = x.shape.dims()[..axis].iter().zip(&reps);
            let outer: usize = outer.map(|(d, r)| d * r).product();
            let inner: usize = x.shape.dims()[axis..].iter().product();
            let split = support::view(cx.g, ct, &[outer, reps[axis], inner].into())?;
            ct = cx.g.reduce_sum(split, &[1], false)?;
        }
        Ok(vec![support::view(cx.g, ct, &x.shape)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        let op = |reps: &[i32]| Self {
            reps: reps.to_vec(),
        };
        vec![
            Sample::new(op(&[2, 3]), [support::f(&[2, 3], Fill::Signed)]),
            Sample::new(op(&[2, 1, 2]), [support::f(&[1, 3, 2], Fill::Signed)]),
            Sample::new(op(&[3, 1, 2]), [support::h(&[2, 3, 17], Fill::Signed)]),
            Sample::new(
                op(&[4]),
                [(TensorType::new(DType::Int32, [3]), Fill::Integers)],
            ),
        ]
    }
}

impl Tile {
    /// How often every axis of `x` is repeated.
    ///
    /// # Errors
    /// When there is not one positive number for every axis.
    pub fn repetitions(&self, x: &Shape) -> Result<Vec<usize>, TypeError> {
        let reps: Option<Vec<usize>> = self
            .reps
            .iter()
            .map(|&r| usize::try_from(r).ok().filter(|&r| r > 0))
            .collect();
        reps.filter(|r| r.len() == x.rank() && !r.is_empty())
            .ok_or_else(|| {
                let expected = format!("a positive number for each of at least one axis of {x}");
                support::attribute(Self::NAME, "reps", expected, format!("{:?}", self.reps))
            })
    }
}

impl Graph {
    /// `x` repeated `reps` times along every axis.
    ///
    /// # Errors
    /// When there is not one positive number for every axis.
    pub fn tile(&mut self, x: Value, reps: &[i32]) -> Result<Value, TypeError> {
        let reps = reps.to_vec();
        self.push(Tile { reps }, &[x])
    }
}
