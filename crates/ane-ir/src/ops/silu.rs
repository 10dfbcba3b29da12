//! `silu`: sigmoid-weighted linear unit.
//!
//! ```text
//! # Definition   x / (1 + e⁻ˣ)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · s · (1 + x · (1 − s)) with s = sigmoid(x)
//! # Sources      coremltools iOS15 activation; Elfwing et al. 2017, arXiv 1702.03118
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{self, elementwise},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Function, Real, Tensor},
    types::TensorType,
};
use smallvec::smallvec;

attributes! {
    /// Every element times its logistic function.
    Silu {}
}

impl OpDef for Silu {
    const NAME: &'static str = "silu";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| {
            let one = T::from_f64(1.0);
            x.div(one.add(T::from_f64(0.0).sub(x).map(Function::Exp)))
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.xs[0];
        let one = cx.scalar_like(x, 1.0)?;
        let s = cx.g.sigmoid(x)?;
        let rest = cx.g.sub(one, s)?;
        let slope = cx.g.mul(x, rest)?;
        let slope = cx.g.add(one, slope)?;
        let slope = cx.g.mul(s, slope)?;
        Ok(vec![cx.g.mul(ct, slope)?.into()])
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let s = g.sigmoid(xs[0])?;
        Ok(Some(smallvec![g.mul(xs[0], s)?]))
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

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Graph {
    /// Every element times its logistic function.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn silu(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Silu {}, &[x])
    }
}
