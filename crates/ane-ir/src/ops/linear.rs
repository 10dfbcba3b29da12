//! `linear`: rows times a weight, plus a bias.
//!
//! ```text
//! # Definition   y[…, o] = bias[o] + Σ_i x[…, i] · weight[o, i]
//! # Operands     x: [*D, I] fp16 | fp32; weight: [O, I], constant or not; bias: [O], optional; one dtype
//! # Result       [*D, O]
//! # Gradient     of x: ct · weight; of weight: ctᵀ · x; of bias: Σ ct
//! # ANE          results beyond ±32752 become infinite, as of matmul
//! # Sources      coremltools iOS17 linear; PyTorch linear
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, Tolerance, TypeError, attributes,
    support::{self, view},
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};
use smallvec::smallvec;

attributes! {
    /// Rows times a weight, plus a bias.
    Linear {}
}

impl OpDef for Linear {
    const NAME: &'static str = "linear";
    const OPERANDS: &'static [Operand] = &[
        Operand::required("x"),
        Operand::required("weight"),
        Operand::optional("bias"),
    ];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        let (x, weight) = (xs[0], xs[1]);
        let mismatch = |rule| TypeError::Mismatch {
            op: Self::NAME,
            x: x.clone(),
            y: weight.clone(),
            rule,
        };
        if x.dtype != weight.dtype {
            return Err(mismatch("dtypes must be equal"));
        }
        let ([rows @ .., inputs], [outputs, taken]) = (x.shape.dims(), weight.shape.dims()) else {
            return Err(mismatch("x needs an axis and the weight two"));
        };
        if inputs != taken {
            return Err(mismatch("the last axes must have equal lengths"));
        }
        let bias = TensorType::new(x.dtype, [*outputs]);
        if let Some(found) = xs.optional("bias").filter(|ty| **ty != bias) {
            return Err(support::operand_type(
                Self::NAME,
                "bias",
                &bias.to_string(),
                found,
            ));
        }
        support::one(TensorType {
            dtype: x.dtype,
            shape: rows.iter().copied().chain([*outputs]).collect(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let (x, weight) = (xs[0], xs[1]);
        let inputs = x.ty.shape.last();
        let outputs = weight.ty.shape.dims()[0];
        let mut lengths = x.ty.shape.dims().to_vec();
        lengths.pop();
        lengths.push(outputs);
        let ty = TensorType::new(x.ty.dtype, Shape::new(&lengths));
        let bias = xs.optional("bias");
        let mut data = Vec::with_capacity(ty.shape.numel());
        for row in x.data.chunks_exact(inputs.max(1)) {
            for (o, weights) in weight.data.chunks_exact(inputs.max(1)).enumerate() {
                let products = row.iter().zip(weights).map(|(x, w)| x.mul(*w));
                let sum = products.fold(T::from_f64(0.0), T::add);
                let sum = bias.map_or(sum, |b| sum.add(b.data[o]));
                data.push(numerics.matmul_cliff(ty.dtype, sum));
            }
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; cx.xs.len()]);
        };
        let (x, weight) = (cx.xs[0], cx.xs[1]);
        let biased = cx.xs.optional("bias").is_some();
        let g = &mut *cx.g;
        let shape = g.ty(x).shape.clone();
        let rows = rows(g, x)?;
        let ct = self::rows(g, ct)?;
        let dx = g.matmul(ct, weight, false, false)?;
        let mut grads = vec![
            view(g, dx, &shape)?.into(),
            g.matmul(ct, rows, true, false)?.into(),
        ];
        if biased {
            grads.push(g.reduce_sum(ct, &[0], false)?.into());
        }
        Ok(grads)
    }

    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| support::f(shape, Fill::Signed);
        let h = |shape: &[usize]| support::h(shape, Fill::Signed);
        vec![
            Sample::new(Self {}, [f(&[2, 3]), f(&[4, 3])]),
            Sample::new(Self {}, [f(&[2, 2, 3]), f(&[4, 3]), f(&[4])]),
            Sample::new(Self {}, [f(&[3]), f(&[2, 3]), f(&[2])]),
            Sample::new(Self {}, [h(&[9, 65]), h(&[35, 65]), h(&[35])]),
            Sample::new(Self {}, [h(&[2, 5, 33]), h(&[6, 33])]),
        ]
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let (x, weight) = (xs[0], xs[1]);
        let mut shape = g.ty(x).shape.dims().to_vec();
        shape.pop();
        shape.push(g.ty(weight).shape.dims()[0]);
        let rows = rows(g, x)?;
        let product = g.matmul(rows, weight, false, true)?;
        let mut y = view(g, product, &Shape::new(&shape))?;
        if let Some(bias) = xs.optional("bias") {
            y = g.add(y, bias)?;
        }
        Ok(Some(smallvec![y]))
    }

    fn tolerance() -> Tolerance {
        Tolerance::Sum
    }
}

/// `x` as a matrix of the rows along its last axis.
fn rows(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let shape = &g.ty(x).shape;
    let (all, last) = (shape.numel(), shape.last());
    view(g, x, &[all / last.max(1), last].into())
}

impl Graph {
    /// The rows of `x`, [*D, I], times `weight`, [O, I], plus `bias`, `[O]`.
    ///
    /// # Errors
    /// When the operands are not floats of equal dtype, or their shapes do not fit.
    pub fn linear(
        &mut self,
        x: Value,
        weight: Value,
        bias: Option<Value>,
    ) -> Result<Value, TypeError> {
        let results = self.push_arguments(Linear {}, &[x.into(), weight.into(), bias.into()])?;
        Ok(results[0])
    }
}
