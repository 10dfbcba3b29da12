//! `fill`: a tensor of equal elements.
//!
//! ```text
//! # Definition   value everywhere
//! # Operands     none          # Result    `shape`, dtype of value
//! # Attributes   shape; value (fp32 0): fp16 | fp32 | int32 | bool
//! # Gradient     none
//! # Sources      coremltools iOS15 tensor_operation
//! ```

use super::{OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, Shape, TensorType},
};

attributes! {
    /// A tensor of equal elements.
    Fill {
        /// Length of every axis.
        shape: Vec<i32>,
        /// The element, a scalar; 0 of fp32 when left out.
        value: Option<Literal>,
    }
}

impl OpDef for Fill {
    const NAME: &'static str = "fill";
    const OPERANDS: &'static [Operand] = &[];

    fn infer(&self, _: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let lengths: Option<Shape> = self
            .shape
            .iter()
            .map(|&l| usize::try_from(l).ok().filter(|&l| l > 0))
            .collect();
        let Some(shape) = lengths.filter(|s| s.rank() > 0) else {
            let expected = "positive lengths of at least one axis";
            return Err(support::attribute(
                Self::NAME,
                "shape",
                expected,
                format!("{:?}", self.shape),
            ));
        };
        let value = self.element();
        let dtype = value.ty().dtype;
        let known = dtype.is_float() || matches!(dtype, DType::Int32 | DType::Bool);
        if value.ty().shape.rank() != 0 || !known {
            let expected = "a scalar of fp16, fp32, int32 or bool";
            return Err(support::attribute(
                Self::NAME,
                "value",
                expected,
                value.ty(),
            ));
        }
        support::one(TensorType { dtype, shape })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let _ = xs;
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[]))
            .expect("the node was typed when it was made")
            .remove(0);
        let value = self.element().to_tensor::<T>().data[0];
        vec![Tensor::full(ty, value)]
    }

    fn vjp(&self, _: &mut VjpCx<'_>, _: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        Ok(Vec::new())
    }

    fn samples() -> Vec<Sample<Self>> {
        let op = |shape: &[i32], value| Self {
            shape: shape.to_vec(),
            value,
        };
        let scalar = |dtype, value| Some(Literal::splat(TensorType::new(dtype, []), value));
        vec![
            Sample::new(op(&[2, 3], scalar(DType::Fp16, 0.1)), []),
            Sample::new(op(&[4], None), []),
            Sample::new(op(&[1, 2], scalar(DType::Int32, -3.0)), []),
            Sample::new(op(&[2], scalar(DType::Bool, 1.0)), []),
        ]
    }
}

impl Fill {
    /// The element.
    pub fn element(&self) -> Literal {
        self.value
            .clone()
            .unwrap_or_else(|| Literal::splat(TensorType::fp32([]), 0.0))
    }
}

impl Graph {
    /// A tensor of type `ty` of elements equal to `value`.
    ///
    /// # Errors
    /// When the dtype is not fp16, fp32, int32 or bool, or an axis is empty.
    pub fn fill(&mut self, ty: &TensorType, value: f64) -> Result<Value, TypeError> {
        let op = Fill {
            shape: support::window::ints(ty.shape.dims().iter().copied()),
            value: Some(Literal::splat(TensorType::new(ty.dtype, []), value)),
        };
        self.push(op, &[])
    }
}
