//! `select`: one of two, elementwise, broadcasting.
//!
//! ```text
//! # Definition   a where cond, else b
//! # Operands     cond: bool; a, b: equal dtype          # Result    broadcast shape, dtype of a
//! # Gradient     ct where cond to a, elsewhere to b, summed over broadcast axes
//! # Sources      coremltools iOS15 control_flow
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
    /// One of two, elementwise, broadcasting.
    Select {}
}

impl OpDef for Select {
    const NAME: &'static str = "select";
    const OPERANDS: &'static [Operand] = &[
        Operand::required("cond"),
        Operand::required("a"),
        Operand::required("b"),
    ];
    const BROADCASTS: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::truth(Self::NAME, "cond", xs[0])?;
        let shape = support::broadcast(Self::NAME, xs[1], xs[2])?;
        let shape = shape
            .broadcast(&xs[0].shape)
            .ok_or_else(|| TypeError::Mismatch {
                op: Self::NAME,
                x: xs[0].clone(),
                y: xs[1].clone(),
                rule: "shapes must broadcast",
            })?;
        support::one(TensorType {
            dtype: xs[1].dtype,
            shape,
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let ty = self
            .infer(&Operands::plain(
                Self::OPERANDS,
                &[&xs[0].ty, &xs[1].ty, &xs[2].ty],
            ))
            .expect("the node was typed when it was made")
            .remove(0);
        let mut data = Vec::with_capacity(ty.shape.numel());
        let shapes = [&xs[0].ty.shape, &xs[1].ty.shape, &xs[2].ty.shape];
        support::elementwise::walk(&ty.shape, shapes, |[c, a, b]| {
            let first = xs[0].data[c].to_f64() != 0.0;
            data.push(if first { xs[1].data[a] } else { xs[2].data[b] });
        });
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 3]);
        };
        if !cx.g.ty(ct).dtype.is_float() {
            return Ok(vec![Cotangent::Zero; 3]);
        }
        let zero = cx.scalar_like(ct, 0.0)?;
        let a = cx.g.select(cx.xs[0], ct, zero)?;
        let b = cx.g.select(cx.xs[0], zero, ct)?;
        Ok(vec![
            Cotangent::Zero,
            cx.unbroadcast(a, 1)?,
            cx.unbroadcast(b, 2)?,
        ])
    }

    fn samples() -> Vec<Sample<Self>> {
        let cond = |shape: &[usize]| (TensorType::new(DType::Bool, shape), Fill::Truth);
        [
            [
                cond(&[2, 3]),
                support::f(&[2, 3], Fill::Signed),
                support::f(&[2, 3], Fill::Positive),
            ],
            [
                cond(&[2, 3]),
                support::f(&[], Fill::Signed),
                support::f(&[3], Fill::Positive),
            ],
            [
                cond(&[1, 3]),
                support::f(&[2, 1], Fill::Signed),
                support::f(&[2, 3], Fill::Positive),
            ],
            [
                cond(&[5, 33]),
                support::h(&[5, 33], Fill::Signed),
                support::h(&[], Fill::Positive),
            ],
            [
                cond(&[5, 1]),
                support::h(&[33], Fill::Signed),
                support::h(&[5, 33], Fill::Positive),
            ],
        ]
        .into_iter()
        .map(|xs| Sample::new(Self {}, xs))
        .collect()
    }
}

impl Graph {
    /// `a` where `cond`, else `b`, broadcasting.
    ///
    /// # Errors
    /// When `cond` is not bool, the dtypes differ or the shapes do not broadcast.
    pub fn select(&mut self, cond: Value, a: Value, b: Value) -> Result<Value, TypeError> {
        self.push(Select {}, &[cond, a, b])
    }
}
