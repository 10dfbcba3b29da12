//! `pad`: a tensor with constants around it.
//!
//! ```text
//! # Definition   result[i…] = x[i − before…] inside, constant_val around it
//! # Operands     x: [*D] fp16 | fp32          # Result    D + before + after, dtype of x
//! # Attributes   pad: before and after of the last axes, as many as there are pairs; mode (must be constant);
//! #              constant_val
//! # Gradient     the block of ct that x is
//! # Sources      coremltools iOS15 tensor_operation
//! ```

use super::{
    Attr, AttrType, Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support,
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{Shape, TensorType},
};

/// What lies around the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One value.
    Constant,
}

impl AttrType for Mode {
    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Str("constant".into()))
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        (attr == Attr::Str("constant".into())).then_some(Self::Constant)
    }
}

attributes! {
    /// A tensor with constants around it.
    Pad {
        /// Elements before and after, for the last axes: as many as there are pairs.
        pad: Vec<i32>,
        /// What lies around.
        mode: Mode = Mode::Constant,
        /// The value around.
        constant_val: f64 = 0.0,
    }
}

impl OpDef for Pad {
    const NAME: &'static str = "pad";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::float(Self::NAME, "x", xs[0])?;
        let dims: Option<Vec<usize>> = self
            .around(&xs[0].shape)?
            .iter()
            .zip(xs[0].shape.dims())
            .map(|(&(before, after), &d)| d.checked_add(before)?.checked_add(after))
            .collect();
        let dims = dims.ok_or_else(|| self.refused(&xs[0].shape))?;
        support::one(TensorType::new(xs[0].dtype, Shape::new(&dims)))
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let infallible = "the node was typed when it was made";
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[&xs[0].ty]))
            .expect(infallible)
            .remove(0);
        let around = self.around(&xs[0].ty.shape).expect(infallible);
        let value = Literal::splat(TensorType::new(ty.dtype, []), self.constant_val);
        let value = T::from_f64(value.to_f64()[0]);
        let (strides, dims) = (ty.shape.strides(), xs[0].ty.shape.dims());
        let first = around.iter().zip(&strides).map(|(a, s)| a.0 * s).sum();
        let mut places: Vec<usize> = vec![first];
        for (&len, &stride) in dims.iter().zip(&strides) {
            places = places
                .iter()
                .flat_map(|p| (0..len).map(move |i| p + i * stride))
                .collect();
        }
        let mut data = vec![value; ty.shape.numel()];
        for (place, &x) in places.into_iter().zip(&xs[0].data) {
            data[place] = x;
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.g.ty(cx.xs[0]).shape.clone();
        let begin = self.around(&x)?.into_iter().map(|(before, _)| before);
        let begin = support::window::ints(begin);
        let size = support::window::ints(x.dims().iter().copied());
        Ok(vec![cx.g.slice_by_size(ct, &begin, &size)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        [
            (support::f(&[2, 3], Fill::Signed), vec![1, 0, 0, 2], 0.0),
            (support::f(&[4], Fill::Signed), vec![2, 1], -1.5),
            (
                support::f(&[2, 1, 3], Fill::Positive),
                vec![0, 0, 1, 1, 0, 1],
                0.25,
            ),
            // The last axis alone.
            (support::f(&[2, 3], Fill::Signed), vec![2, 2], 0.5),
            (support::h(&[5, 10], Fill::Signed), vec![0, 0, 0, 22], 0.0),
            (
                support::h(&[3, 2, 33], Fill::Signed),
                vec![0, 1, 2, 0, 0, 31],
                1.0,
            ),
        ]
        .into_iter()
        .map(|(x, pad, constant_val)| {
            Sample::new(
                Self {
                    pad,
                    mode: Mode::Constant,
                    constant_val,
                },
                [x],
            )
        })
        .collect()
    }
}

impl Pad {
    /// Elements before and after every axis.
    ///
    /// # Errors
    /// When there are no pairs of counts, more than axes, or a negative one.
    pub fn around(&self, x: &Shape) -> Result<Vec<(usize, usize)>, TypeError> {
        let (pairs, odd) = self.pad.as_chunks::<2>();
        if pairs.is_empty() || pairs.len() > x.rank() || !odd.is_empty() {
            return Err(self.refused(x));
        }
        let unpadded = std::iter::repeat_n(Ok((0, 0)), x.rank() - pairs.len());
        let padded = pairs.iter().map(|&[before, after]| {
            let before = usize::try_from(before).map_err(|_| self.refused(x))?;
            let after = usize::try_from(after).map_err(|_| self.refused(x))?;
            Ok((before, after))
        });
        unpadded.chain(padded).collect()
    }

    fn refused(&self, x: &Shape) -> TypeError {
        let expected =
            format!("two counts for each of at least one of the last axes of {x}, none negative");
        support::attribute(Self::NAME, "pad", expected, format!("{:?}", self.pad))
    }
}

impl Graph {
    /// `x` with `value` around it; `pad` counts the elements before and after every one of the last axes.
    ///
    /// # Errors
    /// When `pad` does not fit the shape, or `x` is not floating point.
    pub fn pad(&mut self, x: Value, pad: &[i32], value: f64) -> Result<Value, TypeError> {
        self.push(
            Pad {
                pad: pad.to_vec(),
                mode: Mode::Constant,
                constant_val: value,
            },
            &[x],
        )
    }
}
