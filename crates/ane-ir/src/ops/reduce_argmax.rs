//! `reduce_argmax`: index of the largest along an axis.
//!
//! ```text
//! # Definition   the first index of the largest element, or of the first NaN; Core ML leaves open which of equal ones
//! # Operands     x: [*D] fp16 | fp32 | int32          # Result    [*D] less the axis, output_dtype
//! # Attributes   axis (−1); keep_dims (false); output_dtype (int32): int32 | uint16
//! # Gradient     zero everywhere
//! # Sources      coremltools iOS17 reduction; PyTorch argmax
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
    /// Index of the largest along an axis.
    ReduceArgmax {
        /// The axis along which is searched.
        axis: i32 = -1,
        /// Whether the axis stays, with length 1.
        keep_dims: bool = false,
        /// int32 or uint16.
        output_dtype: DType = DType::Int32,
    }
}

impl OpDef for ReduceArgmax {
    const NAME: &'static str = "reduce_argmax";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::number(Self::NAME, "x", xs[0])?;
        if !matches!(self.output_dtype, DType::Int32 | DType::UInt16) {
            let expected = "int32 or uint16";
            let found = self.output_dtype;
            return Err(support::attribute(
                Self::NAME,
                "output_dtype",
                expected,
                found,
            ));
        }
        let x = &xs[0].shape;
        let axis = self.axis_of(x)?;
        if x.dims()[axis] == 0 {
            return Err(support::operand_type(
                Self::NAME,
                "x",
                "of elements to choose from",
                xs[0],
            ));
        }
        let mut lengths = x.dims().to_vec();
        if self.keep_dims {
            lengths[axis] = 1;
        } else {
            lengths.remove(axis);
        }
        support::one(TensorType::new(self.output_dtype, Shape::new(&lengths)))
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let infallible = "the node was typed when it was made";
        let axis = self.axis_of(&x.ty.shape).expect(infallible);
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[&x.ty]))
            .expect(infallible)
            .remove(0);
        let (bases, along) = support::reduce::offsets(&x.ty.shape, &[axis]);
        let data = bases.into_iter().map(|base| {
            let element = |i: usize| x.data[base + along[i]];
            let best = (1..along.len()).fold(0, |best, i| {
                let (leader, next) = (element(best), element(i));
                let wins = !leader.is_nan() && (next > leader || next.is_nan());
                if wins { i } else { best }
            });
            T::from_int(i32::try_from(best).unwrap_or(i32::MAX))
        });
        vec![Tensor {
            ty,
            data: data.collect(),
        }]
    }

    fn vjp(&self, _: &mut VjpCx<'_>, _: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        Ok(vec![Cotangent::Zero])
    }

    fn samples() -> Vec<Sample<Self>> {
        let op = |axis, keep_dims, output_dtype| Self {
            axis,
            keep_dims,
            output_dtype,
        };
        let integers = (TensorType::new(DType::Int32, [3, 4]), Fill::Integers);
        vec![
            Sample::new(
                op(-1, false, DType::Int32),
                [support::f(&[2, 3], Fill::Distinct)],
            ),
            Sample::new(
                op(1, true, DType::UInt16),
                [support::h(&[2, 37, 3], Fill::Distinct)],
            ),
            // Equal elements.
            Sample::new(op(0, false, DType::Int32), [integers]),
        ]
    }
}

impl ReduceArgmax {
    /// The axis along which is searched.
    ///
    /// # Errors
    /// When it does not exist in `x`.
    pub fn axis_of(&self, x: &Shape) -> Result<usize, TypeError> {
        x.axis(self.axis).ok_or_else(|| {
            support::attribute(Self::NAME, "axis", format!("an axis of {x}"), self.axis)
        })
    }
}

impl Graph {
    /// Index of the first largest element of `x` along `axis`, as int32.
    ///
    /// # Errors
    /// When `x` is not a number or the axis does not exist.
    pub fn reduce_argmax(
        &mut self,
        x: Value,
        axis: i32,
        keep_dims: bool,
    ) -> Result<Value, TypeError> {
        let op = ReduceArgmax {
            axis,
            keep_dims,
            output_dtype: DType::Int32,
        };
        self.push(op, &[x])
    }
}
