//! `const`: data known when the program is compiled.
//!
//! ```text
//! # Definition   val
//! # Operands     none          # Result    type of val
//! # Attributes   val: an inline tensor or a blob
//! # Gradient     none: it has no operands
//! # Sources      coremltools iOS15 control_flow
//! ```

use super::{OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, TensorType},
};

attributes! {
    /// Data known when the program is compiled.
    Const {
        /// The data.
        val: Literal,
    }
}

impl OpDef for Const {
    const NAME: &'static str = "const";
    const OPERANDS: &'static [Operand] = &[];
    const MOVES: bool = true;

    fn infer(&self, _: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::one(self.val.ty().clone())
    }

    fn eval<T: Real>(&self, _: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        vec![self.val.to_tensor()]
    }

    fn vjp(&self, _: &mut VjpCx<'_>, _: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        Ok(Vec::new())
    }

    fn samples() -> Vec<Sample<Self>> {
        let wave = |n: usize| (0..n).map(|i| (i as f64 * 1.7).sin()).collect::<Vec<_>>();
        [
            Literal::from_f64(TensorType::fp16([2, 3]), &wave(6)),
            Literal::from_f64(TensorType::fp16([3, 40]), &wave(120)),
            Literal::splat(TensorType::fp16([]), 0.1),
            Literal::from_f64(TensorType::fp32([4]), &wave(4)),
            Literal::from_f64(TensorType::new(DType::Int32, [3]), &[-1.0, 0.0, 7.0]),
            Literal::from_f64(TensorType::new(DType::Bool, [2]), &[1.0, 0.0]),
        ]
        .into_iter()
        .map(|val| Sample::new(Self { val }, Vec::new()))
        .collect()
    }
}

impl Graph {
    /// A constant.
    ///
    /// # Errors
    /// Never; kept for uniformity of builder code.
    pub fn constant(&mut self, val: Literal) -> Result<Value, TypeError> {
        self.push(Const { val }, &[])
    }
}
