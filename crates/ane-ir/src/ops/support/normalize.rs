//! What `layer_norm` and `instance_norm` share: elements shifted and scaled to mean 0 and variance 1 over axes.

use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    ops::{
        Operand, Operands, TypeError,
        support::{self, elementwise, reduce},
    },
    tensor::{Function, Real, Tensor},
    types::{Shape, TensorType},
};

/// Operands of both.
pub(crate) const OPERANDS: &[Operand] = &[
    Operand::required("x"),
    Operand::optional("gamma"),
    Operand::optional("beta"),
];

/// What Core ML adds to the variance when `epsilon` is left out.
pub(crate) const DEFAULT_EPSILON: f64 = 1e-5;

/// A normalisation over axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// Axes over which mean and variance are taken, sorted.
    pub axes: Vec<usize>,
    /// Shape of `gamma` and `beta`.
    pub affine: Shape,
    /// The same with ones, so that it broadcasts to that of `x`.
    pub broadcast: Shape,
    /// Added to the variance; as the attribute says, before it is rounded to a dtype.
    pub epsilon: f64,
}

impl Normalization {
    /// Refuses `gamma` and `beta` of another type than the op wants.
    pub(crate) fn check(
        &self,
        op: &'static str,
        xs: &Operands<'_, &TensorType>,
    ) -> Result<(), TypeError> {
        let expected = TensorType::new(xs[0].dtype, self.affine.dims());
        for name in ["gamma", "beta"] {
            if let Some(found) = xs.optional(name).filter(|ty| **ty != expected) {
                return Err(support::operand_type(
                    op,
                    name,
                    &expected.to_string(),
                    found,
                ));
            }
        }
        Ok(())
    }

    /// The epsilon as a node of the dtype of `ty` holds it.
    fn epsilon_in<T: Real>(&self, ty: &TensorType, numerics: &Numerics) -> T {
        numerics.store(ty.dtype, T::from_f64(self.epsilon))
    }

    /// The definition: (x − mean) / √(variance + epsilon) · gamma + beta.
    pub(crate) fn eval<T: Real>(
        &self,
        xs: &Operands<'_, &Tensor<T>>,
        numerics: &Numerics,
    ) -> Vec<Tensor<T>> {
        let x = xs[0];
        let epsilon: T = self.epsilon_in(&x.ty, numerics);
        let (bases, within) = reduce::offsets(&x.ty.shape, &self.axes);
        let n = T::from_f64(within.len() as f64);
        let mean = |terms: &[T]| reduce::sum(&x.ty, terms, numerics).div(n);
        let mut data = x.data.clone();
        for base in bases {
            let group: Vec<T> = within.iter().map(|o| x.data[base + o]).collect();
            let center = mean(&group);
            let squares: Vec<T> = group
                .iter()
                .map(|e| e.sub(center))
                .map(|e| e.mul(e))
                .collect();
            let deviation = mean(&squares).add(epsilon).map(Function::Sqrt);
            for (o, e) in within.iter().zip(group) {
                data[base + o] = e.sub(center).div(deviation);
            }
        }
        affine(&mut data, &x.ty.shape, &self.broadcast, xs);
        vec![Tensor {
            ty: x.ty.clone(),
            data,
        }]
    }

    /// Cotangents of the operands. With x̂ the normalised elements, d = 1 / √(variance + epsilon) and c = ct · gamma:
    /// d · (c − mean(c) − x̂ · mean(c · x̂)) of x, Σ ct · x̂ of gamma, Σ ct of beta.
    pub(crate) fn vjp(
        &self,
        cx: &mut VjpCx<'_>,
        cts: &[Option<Value>],
    ) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; cx.xs.len()]);
        };
        let x = cx.xs[0];
        let axes: Vec<i32> = support::window::ints(self.axes.iter().copied());
        let g = &mut *cx.g;
        let mean = g.reduce_mean(x, &axes, true)?;
        let centered = g.sub(x, mean)?;
        let squares = g.mul(centered, centered)?;
        let variance = g.reduce_mean(squares, &axes, true)?;
        let scale = g.rsqrt(variance, self.epsilon)?;
        let normal = g.mul(centered, scale)?;
        let mut share = ct;
        if let Some(gamma) = cx.xs.optional("gamma") {
            let gamma = support::view(g, gamma, &self.broadcast)?;
            share = g.mul(ct, gamma)?;
        }
        let offset = g.reduce_mean(share, &axes, true)?;
        let along = g.mul(share, normal)?;
        let slope = g.reduce_mean(along, &axes, true)?;
        let tilt = g.mul(normal, slope)?;
        let share = g.sub(share, offset)?;
        let share = g.sub(share, tilt)?;
        let mut grads = vec![g.mul(share, scale)?.into()];
        if cx.xs.optional("gamma").is_some() {
            let along = g.mul(ct, normal)?;
            grads.push(self.summed(g, along)?.into());
        }
        if cx.xs.optional("beta").is_some() {
            grads.push(self.summed(g, ct)?.into());
        }
        Ok(grads)
    }

    /// `ct` summed to the shape of gamma and beta.
    fn summed(&self, g: &mut Graph, ct: Value) -> Result<Value, TypeError> {
        let sum = elementwise::unbroadcast(g, ct, &self.broadcast)?;
        support::view(g, sum, &self.affine)
    }
}

/// `data` times `gamma` plus `beta`, which have the shape `broadcast` to that of the data.
pub(crate) fn affine<T: Real>(
    data: &mut [T],
    shape: &Shape,
    broadcast: &Shape,
    xs: &Operands<'_, &Tensor<T>>,
) {
    let (gamma, beta) = (xs.optional("gamma"), xs.optional("beta"));
    let mut elements = data.iter_mut();
    elementwise::walk(shape, [broadcast], |[i]| {
        let Some(e) = elements.next() else { return };
        let scaled = gamma.map_or(*e, |gamma| e.mul(gamma.data[i]));
        *e = beta.map_or(scaled, |beta| scaled.add(beta.data[i]));
    });
}

/// A shape of length `channels` on axis 1 of `rank` axes, and 1 on the others.
pub(crate) fn per_channel(channels: usize, rank: usize) -> Shape {
    (0..rank)
        .map(|axis| if axis == 1 { channels } else { 1 })
        .collect()
}
