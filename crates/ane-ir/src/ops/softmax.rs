//! `softmax`: normalised exponentials along an axis.
//!
//! ```text
//! # Definition   exp(x − max x) / Σ exp(x − max x)
//! # Operands     x: [*D] fp16 | fp32          # Result    [*D], dtype of x
//! # Attributes   axis
//! # Gradient     y · (ct − Σ ct · y)
//! # Sources      coremltools iOS15 activation
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes, support,
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Function, Real, Tensor},
    types::TensorType,
};

attributes! {
    /// Normalised exponentials along an axis.
    Softmax {
        /// The axis along which the results sum to 1.
        axis: i32,
    }
}

impl OpDef for Softmax {
    const NAME: &'static str = "softmax";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        if xs[0].shape.axis(self.axis).is_none() {
            return Err(support::attribute(
                Self::NAME,
                "axis",
                format!("an axis of {}", xs[0].shape),
                self.axis,
            ));
        }
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let axis =
            x.ty.shape
                .axis(self.axis)
                .expect("the node was typed when it was made");
        let stride = x.ty.shape.strides()[axis];
        let len = x.ty.shape.dims()[axis];
        let mut data = x.data.clone();
        for start in (0..data.len()).filter(|i| (i / stride).is_multiple_of(len)) {
            let at = |i: usize| start + i * stride;
            let row: Vec<T> = (0..len).map(|i| x.data[at(i)]).collect();
            let max = support::reduce::max(&row);
            let terms: Vec<T> = row.iter().map(|e| e.sub(max).map(Function::Exp)).collect();
            let sum = support::reduce::sum(&x.ty, &terms, numerics);
            for (i, term) in terms.into_iter().enumerate() {
                data[at(i)] = term.div(sum);
            }
        }
        vec![Tensor {
            ty: x.ty.clone(),
            data,
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };

        let y = cx.ys[0];
        let weighted = cx.g.mul(ct, y)?;
        let sum = cx.g.reduce_sum(weighted, &[self.axis], true)?;
        let centred = cx.g.sub(ct, sum)?;
        Ok(vec![cx.g.mul(y, centred)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[2, 3], Fill::Signed), -1),
            (support::f(&[3, 2], Fill::Signed), 0),
            (support::h(&[3, 37], Fill::Signed), 1),
            (support::h(&[2, 5, 7], Fill::Signed), 1),
        ]
        .into_iter()
        .map(|(x, axis)| Sample::new(Self { axis }, [x]))
        .collect()
    }

    fn tolerance() -> Tolerance {
        Tolerance::Ulps(2)
    }
}

impl Graph {
    /// Exponentials of `x`, normalised along `axis`.
    ///
    /// # Errors
    /// When `x` is not floating point or the axis does not exist.
    pub fn softmax(&mut self, x: Value, axis: i32) -> Result<Value, TypeError> {
        self.push(Softmax { axis }, &[x])
    }
}
