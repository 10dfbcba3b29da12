//! `cast`: conversion to another dtype.
//!
//! ```text
//! # Definition   x rounded to nearest even for floats, toward zero and saturated for integers; non-zero is true
//! # Operands     x: any dtype          # Result    [*D], `dtype`
//! # Attributes   dtype
//! # Gradient     ct cast back, between floats; zero through integers and truth
//! # ANE          rule op_support: refused on the e5rt route
//! # Sources      coremltools iOS15 elementwise_unary
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{DType, TensorType},
};

attributes! {
    /// Conversion to another dtype.
    Cast {
        /// The new element type.
        dtype: DType,
    }
}

impl OpDef for Cast {
    const NAME: &'static str = "cast";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::one(TensorType {
            dtype: self.dtype,
            shape: xs[0].shape.clone(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let convert = |x: T| match self.dtype.integer_range() {
            None => x,
            Some(_) if self.dtype == DType::Bool => T::from_int((x.to_f64() != 0.0).into()),
            // The ranges of all integer types are within that of an int32.
            Some((low, high)) => T::from_int(x.to_int().clamp(low as i32, high as i32)),
        };
        vec![Tensor {
            ty: TensorType {
                dtype: self.dtype,
                shape: xs[0].ty.shape.clone(),
            },
            data: xs[0].data.iter().map(|&x| convert(x)).collect(),
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };

        let from = cx.g.ty(cx.xs[0]).dtype;
        if from.is_float() && self.dtype.is_float() {
            Ok(vec![cx.g.cast(ct, from)?.into()])
        } else {
            Ok(vec![Cotangent::Zero])
        }
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (DType::Fp16, support::f(&[2, 3], Fill::Signed)),
            (DType::Fp32, support::h(&[3, 37], Fill::Signed)),
            (DType::Int32, support::h(&[4], Fill::Signed)),
            (DType::Bool, support::h(&[4], Fill::Truth)),
            (
                DType::Fp16,
                (TensorType::new(DType::Int32, [5]), Fill::Integers),
            ),
            (
                DType::Fp32,
                (TensorType::new(DType::Bool, [5]), Fill::Truth),
            ),
        ]
        .into_iter()
        .map(|(dtype, x)| Sample::new(Self { dtype }, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` converted to `dtype`.
    ///
    /// # Errors
    /// Never; kept for uniformity of builder code.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Result<Value, TypeError> {
        self.push(Cast { dtype }, &[x])
    }
}
