//! `gather_along_axis`: elements along an axis by index, one index for each.
//!
//! ```text
//! # Definition   result[o…, n, i…] = x[o…, indices[o…, n, i…], i…]
//! # Operands     x: [*D] any number; indices: *D but for the length of the axis, integers
//! # Result       shape of indices, dtype of x
//! # Attributes   axis (0); validate_indices (false)
//! # Gradient     of x: ct added at the places that were read
//! # ANE          rule op_support: e5rt refuses it, and every chip its gradient, a scatter
//! # Sources      coremltools iOS17 scatter_gather; PyTorch gather
//! ```
//!
//! Core ML leaves open what an index out of range reads; here it is the nearest one in range, as for `gather`.

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    ops::scatter::Mode,
    tensor::{Literal, Real, Tensor},
    types::{DType, TensorType},
};

attributes! {
    /// Elements along an axis by index, one index for each.
    GatherAlongAxis {
        /// The axis along which the elements lie.
        axis: i32 = 0,
        /// Whether Core ML refuses indices out of range.
        validate_indices: bool = false,
    }
}

impl OpDef for GatherAlongAxis {
    const NAME: &'static str = "gather_along_axis";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("indices")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let (x, indices) = (xs[0], xs[1]);
        if x.dtype == DType::Bool {
            return Err(support::operand_type(Self::NAME, "x", "of numbers", x));
        }
        support::index(Self::NAME, "indices", indices)?;
        let axis = self.axis_of(x)?;
        let lengths = (x.shape.dims(), indices.shape.dims());
        let fits = lengths.0.len() == lengths.1.len()
            && (0..lengths.0.len()).all(|a| a == axis || lengths.0[a] == lengths.1[a]);
        if !fits {
            return Err(TypeError::Mismatch {
                op: Self::NAME,
                x: x.clone(),
                y: indices.clone(),
                rule: "the indices must have the lengths of x on every axis but the one that is read",
            });
        }
        support::one(TensorType {
            dtype: x.dtype,
            shape: indices.shape.clone(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let (x, indices) = (xs[0], xs[1]);
        let axis = self
            .axis_of(&x.ty)
            .expect("the node was typed when it was made");
        let length = x.ty.shape.dims()[axis];
        let each = indices.ty.shape.dims()[axis];
        let inner: usize = x.ty.shape.dims()[axis + 1..].iter().product();
        let data = indices.data.iter().enumerate().map(|(at, index)| {
            let outer = at / (each * inner);
            x.data[(outer * length + support::clamped(*index, length)) * inner + at % inner]
        });
        vec![Tensor {
            data: data.collect(),
            ty: TensorType {
                dtype: x.ty.dtype,
                shape: indices.ty.shape.clone(),
            },
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        let (x, indices) = (cx.g.ty(cx.xs[0]).clone(), cx.xs[1]);
        if !x.dtype.is_float() {
            return Ok(vec![Cotangent::Zero; 2]);
        }
        let axis = self.axis_of(&x)?;
        let g = &mut *cx.g;
        let places = places_of(g, indices, &x, axis)?;
        let count = g.ty(places).shape.clone();
        let updates = support::view(g, ct, &count)?;
        let table = TensorType::new(x.dtype, [x.shape.numel()]);
        let zeros = g.fill(&table, 0.0)?;
        let sum = g.scatter(zeros, places, updates, 0, Mode::Add)?;
        Ok(vec![
            support::view(g, sum, &x.shape)?.into(),
            Cotangent::Zero,
        ])
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let indices = |dtype, shape: &[usize]| (TensorType::new(dtype, shape), Fill::Integers);
        let op = |axis| Self {
            axis,
            validate_indices: false,
        };
        vec![
            Sample::new(op(0), [support::f(&[5], s), indices(DType::Int32, &[7])]),
            Sample::new(
                op(1),
                [support::f(&[2, 6, 2], s), indices(DType::Int32, &[2, 3, 2])],
            ),
            Sample::new(
                op(-1),
                [support::h(&[3, 20], s), indices(DType::Int16, &[3, 9])],
            ),
            Sample::new(
                op(0),
                [
                    (TensorType::new(DType::Int32, [4, 3]), Fill::Integers),
                    indices(DType::Int32, &[2, 3]),
                ],
            ),
        ]
    }
}

/// Where in the elements of `x` the indices are, as a vector of int32.
fn places_of(
    g: &mut Graph,
    indices: Value,
    x: &TensorType,
    axis: usize,
) -> Result<Value, TypeError> {
    let lengths = x.shape.dims();
    let product = |lengths: &[usize]| lengths.iter().product::<usize>();
    let (outer, length, inner) = (
        product(&lengths[..axis]),
        lengths[axis],
        product(&lengths[axis + 1..]),
    );
    let each = g.ty(indices).shape.dims()[axis];
    let mut places = support::view(g, indices, &[outer, each, inner].into())?;
    if g.ty(places).dtype != DType::Int32 {
        places = g.cast(places, DType::Int32)?;
    }
    let scalar = |g: &mut Graph, x: usize| g.scalar(DType::Int32, x as f64);
    let (first, last) = (scalar(g, 0)?, scalar(g, length - 1)?);
    places = g.maximum(places, first)?;
    places = g.minimum(places, last)?;
    if inner > 1 {
        let stride = scalar(g, inner)?;
        places = g.mul(places, stride)?;
    }
    for (shape, step) in [([outer, 1, 1], length * inner), ([1, 1, inner], 1)] {
        let count: usize = shape.iter().product();
        if count > 1 {
            let starts: Vec<f64> = (0..count).map(|i| (i * step) as f64).collect();
            let starts = Literal::from_f64(TensorType::new(DType::Int32, shape), &starts);
            let starts = g.constant(starts)?;
            places = g.add(places, starts)?;
        }
    }
    support::view(g, places, &[outer * each * inner].into())
}

impl GatherAlongAxis {
    fn axis_of(&self, x: &TensorType) -> Result<usize, TypeError> {
        let axis = x.shape.axis(self.axis).filter(|&a| x.shape.dims()[a] > 0);
        axis.ok_or_else(|| {
            let expected = format!("an axis of {} that is not empty", x.shape);
            support::attribute(Self::NAME, "axis", expected, self.axis)
        })
    }
}

impl Graph {
    /// The elements of `x` along `axis` at `indices`, which have the other lengths of `x`.
    ///
    /// # Errors
    /// When the indices are no integers or of another shape, `x` is bool, or the axis does not exist.
    pub fn gather_along_axis(
        &mut self,
        x: Value,
        indices: Value,
        axis: i32,
    ) -> Result<Value, TypeError> {
        let op = GatherAlongAxis {
            axis,
            validate_indices: false,
        };
        self.push(op, &[x, indices])
    }
}
