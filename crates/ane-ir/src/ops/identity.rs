//! `identity`: the operand unchanged.
//!
//! ```text
//! # Definition   x
//! # Operands     x: any          # Result    type of x
//! # Gradient     ct
//! # ANE          rule bare_movement
//! # Sources      coremltools iOS15 tensor_operation
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
    /// The operand unchanged.
    Identity {}
}

impl OpDef for Identity {
    const NAME: &'static str = "identity";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        vec![xs[0].clone()]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let _ = cx;
        Ok(vec![ct.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            support::f(&[2, 3], Fill::Signed),
            support::h(&[3, 37], Fill::Signed),
        ]
        .into_iter()
        .map(|x| Sample::new(Self {}, [x]))
        .collect()
    }
}

impl Graph {
    /// `x` unchanged, as a value of its own.
    ///
    /// # Errors
    /// Never; kept for uniformity of builder code.
    pub fn identity(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Identity {}, &[x])
    }
}
