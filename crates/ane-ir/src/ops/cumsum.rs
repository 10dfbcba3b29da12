//! `cumsum`: running sums along an axis.
//!
//! ```text
//! # Definition   result[…, i, …] = Σ x[…, j, …] over j ≤ i; over j < i if exclusive; over j from the end if reverse
//! # Operands     x: [*D] fp16 | fp32 | int32          # Result    [*D], dtype of x
//! # Attributes   axis (0); exclusive (false): without the element itself; reverse (false): from the end
//! # Gradient     the running sums of ct from the other end
//! # ANE          rule op_support: e5rt refuses it, where it is a product with a triangle of ones
//! # Sources      coremltools iOS15 tensor_operation; PyTorch cumsum
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Results, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, Shape, TensorType},
};
use smallvec::smallvec;

attributes! {
    /// Running sums along an axis.
    Cumsum {
        /// The axis along which is summed.
        axis: i32 = 0,
        /// Whether an element is left out of its own sum.
        exclusive: bool = false,
        /// Whether sums run from the end.
        reverse: bool = false,
    }
}

impl OpDef for Cumsum {
    const NAME: &'static str = "cumsum";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        support::number(Self::NAME, "x", xs[0])?;
        self.axis_of(&xs[0].shape)?;
        support::one(xs[0].clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let axis = self
            .axis_of(&x.ty.shape)
            .expect("the node was typed when it was made");
        let sum = |a: T, b: T| {
            if x.ty.dtype.is_float() {
                a.add(b)
            } else {
                T::from_int(a.to_int().wrapping_add(b.to_int()))
            }
        };
        let mut y = x.clone();
        let (bases, along) = support::reduce::offsets(&x.ty.shape, &[axis]);
        for base in bases {
            let mut so_far = T::from_f64(0.0);
            for i in 0..along.len() {
                let i = if self.reverse { along.len() - 1 - i } else { i };
                let at = base + along[i];
                let with = sum(so_far, x.data[at]);
                y.data[at] = if self.exclusive { so_far } else { with };
                so_far = with;
            }
        }
        vec![y]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0].filter(|&ct| cx.g.ty(ct).dtype.is_float()) else {
            return Ok(vec![Cotangent::Zero]);
        };
        let op = Self {
            reverse: !self.reverse,
            ..self.clone()
        };
        Ok(vec![cx.g.push(op, &[ct])?.into()])
    }

    fn decompose(
        &self,
        g: &mut Graph,
        xs: &Operands<'_, Value>,
    ) -> Result<Option<Results>, TypeError> {
        let x = xs[0];
        let ty = g.ty(x).clone();
        let axis = self.axis_of(&ty.shape)?;
        let lengths = ty.shape.dims();
        let length = lengths[axis];
        if !ty.dtype.is_float() || length == 0 {
            return Ok(None);
        }
        let outer: usize = lengths[..axis].iter().product();
        let inner: usize = lengths[axis + 1..].iter().product();
        let counts = |i: usize, j: usize| match (self.reverse, self.exclusive) {
            (false, false) => j <= i,
            (false, true) => j < i,
            (true, false) => j >= i,
            (true, true) => j > i,
        };
        let elements = (0..length).flat_map(|i| (0..length).map(move |j| counts(i, j)));
        let ones: Vec<f64> = elements.map(|c| f64::from(u8::from(c))).collect();
        let triangle = TensorType::new(ty.dtype, [length, length]);
        let triangle = g.constant(Literal::from_f64(triangle, &ones))?;
        let sums = if inner == 1 {
            let rows = support::view(g, x, &[outer, length].into())?;
            g.matmul(rows, triangle, false, true)?
        } else {
            let blocks = support::view(g, x, &[outer, length, inner].into())?;
            g.matmul(triangle, blocks, false, false)?
        };
        Ok(Some(smallvec![support::view(g, sums, &ty.shape)?]))
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let op = |axis, exclusive, reverse| Self {
            axis,
            exclusive,
            reverse,
        };
        let integers = (TensorType::new(DType::Int32, [3, 4]), Fill::Integers);
        vec![
            Sample::new(op(0, false, false), [support::f(&[5], s)]),
            Sample::new(op(1, true, false), [support::f(&[2, 3, 2], s)]),
            Sample::new(op(-1, false, true), [support::f(&[2, 4], s)]),
            Sample::new(op(0, true, true), [support::f(&[3, 2], s)]),
            Sample::new(op(1, false, false), [support::h(&[2, 17, 5], s)]),
            Sample::new(op(-1, true, false), [integers]),
        ]
    }
}

impl Cumsum {
    fn axis_of(&self, x: &Shape) -> Result<usize, TypeError> {
        x.axis(self.axis).ok_or_else(|| {
            support::attribute(Self::NAME, "axis", format!("an axis of {x}"), self.axis)
        })
    }
}

impl Graph {
    /// Running sums of `x` along `axis`, every element in its own.
    ///
    /// # Errors
    /// When `x` is not a number or the axis does not exist.
    pub fn cumsum(&mut self, x: Value, axis: i32) -> Result<Value, TypeError> {
        let op = Cumsum {
            axis,
            exclusive: false,
            reverse: false,
        };
        self.push(op, &[x])
    }
}
