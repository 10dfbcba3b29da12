//! `concat`: tensors joined along an axis.
//!
//! ```text
//! # Definition   values one after the other on `axis`
//! # Operands     values: any number, shapes equal but on `axis`          # Result    sum of lengths on `axis`
//! # Attributes   axis; interleave (must be false; the engine wants it said)
//! # Gradient     slices of ct
//! # ANE          rules required_parameters, wide_rows
//! # Sources      coremltools iOS15 tensor_operation
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

attributes! {
    /// Tensors joined along an axis.
    Concat {
        /// The axis along which the values are joined.
        axis: i32,
        /// Whether elements alternate instead; only `false` is implemented.
        interleave: Option<bool>,
    }
}

impl OpDef for Concat {
    const NAME: &'static str = "concat";
    const OPERANDS: &'static [Operand] = &[Operand::list("values")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let first = xs[0];
        let axis = first.shape.axis(self.axis).ok_or_else(|| {
            support::attribute(
                Self::NAME,
                "axis",
                format!("an axis of {}", first.shape),
                self.axis,
            )
        })?;
        if self.interleave == Some(true) {
            return Err(support::attribute(Self::NAME, "interleave", false, true));
        }
        let mut dims = first.shape.dims().to_vec();
        for x in &xs[1..] {
            let fits = x.dtype == first.dtype
                && x.shape.rank() == first.shape.rank()
                && (0..dims.len()).all(|i| i == axis || x.shape.dims()[i] == dims[i]);
            if !fits {
                return Err(TypeError::Mismatch {
                    op: Self::NAME,
                    x: first.clone(),
                    y: (*x).clone(),
                    rule: "dtypes, and lengths on the other axes, must be equal",
                });
            }
            dims[axis] += x.shape.dims()[axis];
        }
        support::one(TensorType {
            dtype: first.dtype,
            shape: Shape::new(&dims),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let tys: Vec<&TensorType> = xs.iter().map(|x| &x.ty).collect();
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &tys))
            .expect("the node was typed when it was made")
            .remove(0);
        let axis = ty.shape.axis(self.axis).expect("checked by infer");
        let outer: usize = ty.shape.dims()[..axis].iter().product();
        let mut data = Vec::with_capacity(ty.shape.numel());
        for o in 0..outer {
            for x in xs.iter() {
                let run = x.data.len() / outer;
                data.extend_from_slice(&x.data[o * run..(o + 1) * run]);
            }
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; cx.xs.len()]);
        };
        let ty = cx.g.ty(ct).clone();
        let axis = ty.shape.axis(self.axis).expect("checked by infer");
        let mut begin = vec![0; ty.shape.rank()];
        let mut grads = Vec::new();
        for &x in cx.xs.iter() {
            let size: Vec<i32> =
                cx.g.ty(x)
                    .shape
                    .dims()
                    .iter()
                    .map(|&d| i32::try_from(d).unwrap_or(i32::MAX))
                    .collect();
            grads.push(cx.g.slice_by_size(ct, &begin, &size)?.into());
            begin[axis] += size[axis];
        }
        Ok(grads)
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (
                0,
                vec![
                    support::f(&[2, 3], Fill::Signed),
                    support::f(&[1, 3], Fill::Positive),
                ],
            ),
            (
                -1,
                vec![
                    support::f(&[2, 3], Fill::Signed),
                    support::f(&[2, 2], Fill::Positive),
                ],
            ),
            (1, vec![support::h(&[2, 3, 40], Fill::Signed); 3]),
            (0, vec![support::h(&[33], Fill::Signed)]),
        ]
        .into_iter()
        .map(|(axis, operands)| {
            Sample::new(
                Self {
                    axis,
                    interleave: Some(false),
                },
                operands,
            )
        })
        .collect()
    }
}

impl Graph {
    /// `values` joined along `axis`.
    ///
    /// # Errors
    /// When they differ on another axis.
    pub fn concat(&mut self, values: &[Value], axis: i32) -> Result<Value, TypeError> {
        self.push(
            Concat {
                axis,
                interleave: Some(false),
            },
            values,
        )
    }
}
