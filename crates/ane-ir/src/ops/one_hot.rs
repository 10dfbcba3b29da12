//! `one_hot`: indices as vectors that are on at one place.
//!
//! ```text
//! # Definition   on_value where the position on the new axis is the index, off_value elsewhere; off_value everywhere
//! #              for an index out of range
//! # Operands     indices: [*D] int32          # Result    [*D] with the new axis, dtype of on_value
//! # Attributes   one_hot_vector_size: length of the new axis; axis (−1): its place in the result; on_value (int32 1),
//! #              off_value (int32 0): fp16 | fp32 | int32 | bool, of one dtype
//! # Gradient     none
//! # Sources      coremltools iOS15 tensor_operation; PyTorch one_hot
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, Shape, TensorType},
};

attributes! {
    /// Indices as vectors that are on at one place.
    OneHot {
        /// Length of the new axis.
        one_hot_vector_size: i32,
        /// Place of the new axis in the result.
        axis: i32 = -1,
        /// The element at the index, a scalar; 1 of int32 when left out.
        on_value: Option<Literal>,
        /// The element elsewhere, a scalar; 0 of int32 when left out.
        off_value: Option<Literal>,
    }
}

impl OpDef for OneHot {
    const NAME: &'static str = "one_hot";
    const OPERANDS: &'static [Operand] = &[Operand::required("indices")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        if xs[0].dtype != DType::Int32 {
            return Err(support::operand_type(Self::NAME, "indices", "int32", xs[0]));
        }
        let [on, off] = self.values();
        for (name, value) in [("on_value", &on), ("off_value", &off)] {
            let dtype = value.ty().dtype;
            let known = dtype.is_float() || matches!(dtype, DType::Int32 | DType::Bool);
            if value.ty().shape.rank() != 0 || !known || dtype != on.ty().dtype {
                let expected = "a scalar of fp16, fp32, int32 or bool, of the dtype of on_value";
                return Err(support::attribute(Self::NAME, name, expected, value.ty()));
            }
        }
        support::one(TensorType {
            dtype: on.ty().dtype,
            shape: self.shape(&xs[0].shape)?,
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let indices = xs[0];
        let infallible = "the node was typed when it was made";
        let shape = self.shape(&indices.ty.shape).expect(infallible);
        let axis = shape.axis(self.axis).expect(infallible);
        let inner: usize = shape.dims()[axis + 1..].iter().product();
        let size = shape.dims()[axis];
        let [on, off] = self.values();
        let dtype = on.ty().dtype;
        let [on, off] = [on, off].map(|v| v.to_tensor::<T>().data[0]);
        let data = indices.data.chunks_exact(inner.max(1)).flat_map(|block| {
            (0..size).flat_map(move |position| {
                block.iter().map(move |index| {
                    let hit = usize::try_from(index.to_int()) == Ok(position);
                    if hit { on } else { off }
                })
            })
        });
        vec![Tensor {
            data: data.collect(),
            ty: TensorType { dtype, shape },
        }]
    }

    fn vjp(&self, _: &mut VjpCx<'_>, _: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        Ok(vec![Cotangent::Zero])
    }

    fn samples() -> Vec<Sample<Self>> {
        let indices = |shape: &[usize]| (TensorType::new(DType::Int32, shape), Fill::Integers);
        let scalar = |dtype, value| Some(Literal::splat(TensorType::new(dtype, []), value));
        let op = |size, axis, dtype| Self {
            one_hot_vector_size: size,
            axis,
            on_value: scalar(dtype, 1.0),
            off_value: scalar(dtype, 0.0),
        };
        vec![
            Sample::new(op(10, -1, DType::Fp16), [indices(&[9])]),
            Sample::new(op(5, 0, DType::Fp32), [indices(&[2, 7])]),
            Sample::new(op(8, 1, DType::Bool), [indices(&[2, 3])]),
            Sample::new(
                Self {
                    one_hot_vector_size: 4,
                    axis: -1,
                    on_value: None,
                    off_value: None,
                },
                [indices(&[2, 6])],
            ),
        ]
    }
}

impl OneHot {
    /// The elements at an index and elsewhere.
    pub fn values(&self) -> [Literal; 2] {
        let given = |value: &Option<Literal>, default| {
            let integer = || Literal::splat(TensorType::new(DType::Int32, []), default);
            value.clone().unwrap_or_else(integer)
        };
        [given(&self.on_value, 1.0), given(&self.off_value, 0.0)]
    }

    /// Shape of the result for indices of shape `indices`.
    ///
    /// # Errors
    /// When the size is not positive or the result has no such axis.
    pub fn shape(&self, indices: &Shape) -> Result<Shape, TypeError> {
        let size = usize::try_from(self.one_hot_vector_size)
            .ok()
            .filter(|&s| s > 0)
            .ok_or_else(|| {
                let found = self.one_hot_vector_size;
                support::attribute(
                    Self::NAME,
                    "one_hot_vector_size",
                    "a positive number",
                    found,
                )
            })?;
        let rank = i32::try_from(indices.rank()).unwrap_or(i32::MAX) + 1;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        let axis = usize::try_from(axis).ok().filter(|&a| a <= indices.rank());
        let axis = axis.ok_or_else(|| {
            let expected = format!("an axis of the result, which has {rank}");
            support::attribute(Self::NAME, "axis", expected, self.axis)
        })?;
        let mut lengths = indices.dims().to_vec();
        lengths.insert(axis, size);
        Ok(Shape::new(&lengths))
    }
}

impl Graph {
    /// 1 of `dtype` where the position on a new axis of length `size` is the index, 0 elsewhere.
    ///
    /// # Errors
    /// When the indices are not int32, or the result has no such axis.
    pub fn one_hot(
        &mut self,
        indices: Value,
        size: i32,
        axis: i32,
        dtype: DType,
    ) -> Result<Value, TypeError> {
        let scalar = |value| Some(Literal::splat(TensorType::new(dtype, []), value));
        let op = OneHot {
            one_hot_vector_size: size,
            axis,
            on_value: scalar(1.0),
            off_value: scalar(0.0),
        };
        self.push(op, &[indices])
    }
}
