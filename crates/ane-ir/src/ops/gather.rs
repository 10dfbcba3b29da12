//! `gather`: slices of a tensor, by index.
//!
//! ```text
//! # Definition   result[b…, o…, n…, i…] = x[b…, o…, indices[b…, n…], i…], n in place of the axis, b the batch axes
//! # Operands     x: any but bool; indices: int32 | int16 | uint16 | int8 | uint8
//! # Result       [*D before axis, *N after the batch axes, *D after axis], dtype of x
//! # Attributes   axis (0); batch_dims (0): leading axes that x and indices share; validate_indices (false)
//! # Gradient     ct added where the slices came from: scatter into zeros
//! # ANE          rule op_support: refused on the e5rt route
//! # Sources      coremltools iOS17 scatter_gather; TensorFlow gather; PyTorch index_select
//! ```
//!
//! Core ML leaves open what an index out of range does; here the nearest one in range is read, and negative indices are
//! out of range, as from iOS 17 on. `validate_indices` makes no difference.

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
    /// Slices of a tensor, by index.
    Gather {
        /// The axis along which the slices lie.
        axis: i32 = 0,
        /// Leading axes that the tensor and the indices share.
        batch_dims: i32 = 0,
        /// Whether Core ML refuses indices out of range.
        validate_indices: bool = false,
    }
}

impl OpDef for Gather {
    const NAME: &'static str = "gather";
    const OPERANDS: &'static [Operand] = &[Operand::required("x"), Operand::required("indices")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        if xs[0].dtype == DType::Bool {
            return Err(support::operand_type(Self::NAME, "x", "a number", xs[0]));
        }
        support::index(Self::NAME, "indices", xs[1])?;
        let (axis, batch) = self.axes(xs[0], xs[1])?;
        let (x, indices) = (xs[0].shape.dims(), xs[1].shape.dims());
        let lengths = x[..axis]
            .iter()
            .chain(&indices[batch..])
            .chain(&x[axis + 1..]);
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: lengths.copied().collect(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let (x, indices) = (xs[0], xs[1]);
        let infallible = "the node was typed when it was made";
        let ty = self
            .infer(&Operands::plain(Self::OPERANDS, &[&x.ty, &indices.ty]))
            .expect(infallible)
            .remove(0);
        let (axis, batch) = self.axes(&x.ty, &indices.ty).expect(infallible);
        let lengths = x.ty.shape.dims();
        let product = |lengths: &[usize]| lengths.iter().product::<usize>();
        let (batches, outer) = (product(&lengths[..batch]), product(&lengths[batch..axis]));
        let (length, inner) = (lengths[axis], product(&lengths[axis + 1..]));
        let each = product(&indices.ty.shape.dims()[batch..]);
        let mut data = Vec::with_capacity(ty.shape.numel());
        for b in 0..batches {
            for o in 0..outer {
                for index in &indices.data[b * each..(b + 1) * each] {
                    let row = (b * outer + o) * length + support::clamped(*index, length);
                    data.extend_from_slice(&x.data[row * inner..(row + 1) * inner]);
                }
            }
        }
        vec![Tensor { ty, data }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 2]);
        };
        let (x, indices) = (cx.g.ty(cx.xs[0]).clone(), cx.xs[1]);
        if !x.dtype.is_float() {
            return Ok(vec![Cotangent::Zero; 2]);
        }
        let (axis, batch) = self.axes(&x, cx.g.ty(indices))?;
        let g = &mut *cx.g;
        let product = |lengths: &[usize]| lengths.iter().product::<usize>();
        let lengths = x.shape.dims();
        let (batches, outer) = (product(&lengths[..batch]), product(&lengths[batch..axis]));
        let (length, inner) = (lengths[axis], product(&lengths[axis + 1..]));
        let each = product(&g.ty(indices).shape.dims()[batch..]);
        let rows = rows_of(g, indices, [batches, each], length)?;
        // [B, O, n, I] as slices of [B · length, O · I].
        let exchange = |g: &mut Graph, v| match outer {
            1 => Ok(v),
            _ => g.transpose(v, &[0, 2, 1, 3]),
        };
        let updates = support::view(g, ct, &[batches, outer, each, inner].into())?;
        let updates = exchange(g, updates)?;
        let updates = support::view(g, updates, &[batches * each, outer * inner].into())?;
        let table = TensorType::new(x.dtype, [batches * length, outer * inner]);
        let zeros = g.fill(&table, 0.0)?;
        let sum = g.scatter(zeros, rows, updates, 0, Mode::Add)?;
        let sum = match outer {
            1 => sum,
            _ => {
                let by_block = [batches, length, outer, inner].into();
                let sum = support::view(g, sum, &by_block)?;
                exchange(g, sum)?
            }
        };
        Ok(vec![
            support::view(g, sum, &x.shape)?.into(),
            Cotangent::Zero,
        ])
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let indices = |dtype, shape: &[usize]| (TensorType::new(dtype, shape), Fill::Integers);
        let op = |axis, batch_dims| Self {
            axis,
            batch_dims,
            validate_indices: false,
        };
        vec![
            Sample::new(
                op(0, 0),
                [support::f(&[4, 3], s), indices(DType::Int32, &[5])],
            ),
            Sample::new(
                op(-1, 0),
                [support::f(&[2, 8], s), indices(DType::Int32, &[2, 2])],
            ),
            Sample::new(
                op(1, 0),
                [support::f(&[2, 6, 2], s), indices(DType::Int32, &[])],
            ),
            Sample::new(
                op(1, 0),
                [support::h(&[3, 7, 20], s), indices(DType::Int16, &[9])],
            ),
            Sample::new(
                op(2, 1),
                [support::h(&[2, 3, 7], s), indices(DType::Int8, &[2, 4])],
            ),
            Sample::new(
                op(0, 0),
                [
                    (TensorType::new(DType::Int32, [6]), Fill::Integers),
                    indices(DType::Int32, &[4]),
                ],
            ),
        ]
    }
}

/// Indices into a tensor of `batches` blocks of `length` slices each, as a vector of int32: those of a block of
/// `indices`, kept in range, count from the start of its own.
fn rows_of(
    g: &mut Graph,
    indices: Value,
    [batches, each]: [usize; 2],
    length: usize,
) -> Result<Value, TypeError> {
    let mut rows = support::view(g, indices, &[batches, each].into())?;
    if g.ty(rows).dtype != DType::Int32 {
        rows = g.cast(rows, DType::Int32)?;
    }
    if batches > 1 {
        let first = g.scalar(DType::Int32, 0.0)?;
        let last = g.scalar(DType::Int32, (length - 1) as f64)?;
        let starts: Vec<f64> = (0..batches).map(|b| (b * length) as f64).collect();
        let starts = Literal::from_f64(TensorType::new(DType::Int32, [batches, 1]), &starts);
        let starts = g.constant(starts)?;
        rows = g.maximum(rows, first)?;
        rows = g.minimum(rows, last)?;
        rows = g.add(rows, starts)?;
    }
    support::view(g, rows, &[batches * each].into())
}

impl Gather {
    /// The axis, and the number of batch axes.
    ///
    /// # Errors
    /// When they do not exist or the batch axes differ.
    pub fn axes(&self, x: &TensorType, indices: &TensorType) -> Result<(usize, usize), TypeError> {
        let axis = x.shape.axis(self.axis).filter(|&a| x.shape.dims()[a] > 0);
        let axis = axis.ok_or_else(|| {
            let expected = format!("an axis of {} that is not empty", x.shape);
            support::attribute(Self::NAME, "axis", expected, self.axis)
        })?;
        let batch = usize::try_from(self.batch_dims).ok();
        let batch = batch.filter(|&b| {
            b <= axis
                && b <= indices.shape.rank()
                && x.shape.dims()[..b] == indices.shape.dims()[..b]
        });
        let batch = batch.ok_or_else(|| {
            let expected = format!(
                "a number of equal leading axes of {} and {} before axis {axis}",
                x.shape, indices.shape
            );
            support::attribute(Self::NAME, "batch_dims", expected, self.batch_dims)
        })?;
        Ok((axis, batch))
    }
}

impl Graph {
    /// The slices of `x` along `axis` at `indices`, whose axes take the place of `axis`.
    ///
    /// # Errors
    /// When the indices are no integers, `x` is bool, or the axis does not exist.
    pub fn gather(&mut self, x: Value, indices: Value, axis: i32) -> Result<Value, TypeError> {
        let op = Gather {
            axis,
            batch_dims: 0,
            validate_indices: false,
        };
        self.push(op, &[x, indices])
    }
}
