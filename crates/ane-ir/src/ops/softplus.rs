//! `softplus`: smooth rectified linear unit.
//!
//! ```text
//! # Definition   ln(1 + eˣ), as max(x, 0) + ln(1 + exp(−|x|))
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Gradient     ct · sigmoid(x)
//! # ANE          0 from x = 11.09 on by one report (ANEForge, M5): where exp(x) leaves fp16
//! # Sources      coremltools iOS15 activation
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{self, elementwise},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::TensorType,
};
use smallvec::smallvec;

attributes! {
    /// ln(1 + eˣ) of every element.
    Softplus {}
}

impl OpDef for Softplus {
    const NAME: &'static str = "softplus";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        elementwise::unary_type(Self::NAME, xs)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        elementwise::map(xs[0], |x| {
            let x = x.to_f64();
            let positive = if x < 0.0 { 0.0 } else { x };
            T::from_f64(positive + (-x.abs()).exp().ln_1p())
        })
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let slope = cx.g.sigmoid(cx.xs[0])?;
        Ok(vec![cx.g.mul(ct, slope)?.into()])
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

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let x = xs[0];
        let dtype = g.ty(x).dtype;
        let minus_one = g.scalar(dtype, -1.0)?;
        let one = g.scalar(dtype, 1.0)?;
        let magnitude = g.abs(x)?;
        let negated = g.mul(magnitude, minus_one)?;
        let exp = g.exp(negated)?;
        let sum = g.add(exp, one)?;
        let tail = g.log(sum, 0.0)?;
        let positive = g.relu(x)?;
        Ok(Some(smallvec![g.add(positive, tail)?]))
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(1)
    }
}

impl Graph {
    /// ln(1 + eˣ) of every element.
    ///
    /// # Errors
    /// When `x` is not floating point.
    pub fn softplus(&mut self, x: Value) -> Result<Value, TypeError> {
        self.push(Softplus {}, &[x])
    }
}
