//! `scatter`: slices put or added into a tensor, by index.
//!
//! ```text
//! # Definition   data with data[o…, indices[n], i…] ← mode(data[o…, indices[n], i…], updates[o…, n, i…]), n in order
//! # Operands     data: [*D] fp16 | fp32 | int32; indices: [N] int32; updates: *D with N in place of the axis, dtype of data
//! # Result       [*D], dtype of data
//! # Attributes   axis (0); mode (add): add | sub | mul | div | max | min | update; validate_indices (false)
//! # Gradient     of data: ct, times or divided by what the mode does, 0 where something else was put; of updates: the
//! #              slices of ct, times what the mode does. For update the indices must differ.
//! # ANE          rule op_support: no chip runs it
//! # Sources      coremltools iOS17 scatter_gather; PyTorch index_add
//! ```
//!
//! Core ML leaves open what an index out of range does; here it is the nearest one in range, as for `gather`.

use super::{
    Attr, AttrType, Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    support,
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{DType, TensorType},
};

/// What becomes of an element and its update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Their sum.
    Add,
    /// The element less the update.
    Sub,
    /// Their product.
    Mul,
    /// The element divided by the update.
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// The update.
    Update,
}

impl Mode {
    const NAMES: [(Self, &'static str); 7] = [
        (Self::Add, "add"),
        (Self::Sub, "sub"),
        (Self::Mul, "mul"),
        (Self::Div, "div"),
        (Self::Max, "max"),
        (Self::Min, "min"),
        (Self::Update, "update"),
    ];

    fn of<T: Real>(self, dtype: DType, x: T, update: T) -> T {
        if !dtype.is_float() {
            return T::from_int(self.of_integers(x.to_int(), update.to_int()));
        }
        match self {
            Self::Add => x.add(update),
            Self::Sub => x.sub(update),
            Self::Mul => x.mul(update),
            Self::Div => x.div(update),
            Self::Max if x > update || x.is_nan() => x,
            Self::Min if x < update || x.is_nan() => x,
            Self::Max | Self::Min | Self::Update => update,
        }
    }

    /// Wrapping, quotients towards zero, and 0 for those that do not exist.
    fn of_integers(self, x: i32, update: i32) -> i32 {
        match self {
            Self::Add => x.wrapping_add(update),
            Self::Sub => x.wrapping_sub(update),
            Self::Mul => x.wrapping_mul(update),
            Self::Div => x.checked_div(update).unwrap_or(0),
            Self::Max => x.max(update),
            Self::Min => x.min(update),
            Self::Update => update,
        }
    }
}

impl AttrType for Mode {
    fn to_attr(&self) -> Option<Attr> {
        let name = Self::NAMES.iter().find(|(mode, _)| mode == self)?.1;
        Some(Attr::Str(name.into()))
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        let Attr::Str(found) = attr else { return None };
        let (mode, _) = Self::NAMES.iter().find(|(_, name)| *name == found)?;
        Some(*mode)
    }
}

attributes! {
    /// Slices put or added into a tensor, by index.
    Scatter {
        /// The axis along which the slices lie.
        axis: i32 = 0,
        /// What becomes of an element and its update.
        mode: Mode = Mode::Add,
        /// Whether Core ML refuses indices out of range.
        validate_indices: bool = false,
    }
}

impl OpDef for Scatter {
    const NAME: &'static str = "scatter";
    const OPERANDS: &'static [Operand] = &[
        Operand::required("data"),
        Operand::required("indices"),
        Operand::required("updates"),
    ];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let (data, indices, updates) = (xs[0], xs[1], xs[2]);
        support::number(Self::NAME, "data", data)?;
        if indices.dtype != DType::Int32 || indices.shape.rank() != 1 {
            return Err(support::operand_type(
                Self::NAME,
                "indices",
                "a vector of int32",
                indices,
            ));
        }
        let axis = self.axis_of(data)?;
        let mut expected = data.clone();
        let mut lengths = data.shape.dims().to_vec();
        lengths[axis] = indices.shape.dims()[0];
        expected.shape = lengths.into_iter().collect();
        if *updates != expected {
            return Err(support::operand_type(
                Self::NAME,
                "updates",
                &expected.to_string(),
                updates,
            ));
        }
        support::one(data.clone())
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let (data, indices, updates) = (xs[0], xs[1], xs[2]);
        let axis = self
            .axis_of(&data.ty)
            .expect("the node was typed when it was made");
        let lengths = data.ty.shape.dims();
        let outer: usize = lengths[..axis].iter().product();
        let inner: usize = lengths[axis + 1..].iter().product();
        let mut result = data.clone();
        let mut updates = updates.data.iter();
        for o in 0..outer {
            for index in &indices.data {
                let row = o * lengths[axis] + support::clamped(*index, lengths[axis]);
                let row = &mut result.data[row * inner..(row + 1) * inner];
                for (x, update) in row.iter_mut().zip(updates.by_ref()) {
                    *x = self.mode.of(data.ty.dtype, *x, *update);
                }
            }
        }
        vec![result]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero; 3]);
        };
        let (data, indices, updates) = (cx.xs[0], cx.xs[1], cx.xs[2]);
        if !cx.g.ty(data).dtype.is_float() {
            return Ok(vec![Cotangent::Zero; 3]);
        }
        let y = cx.ys[0];
        let zero = cx.scalar_like(ct, 0.0)?;
        let minus_one = cx.scalar_like(ct, -1.0)?;
        let g = &mut *cx.g;
        let axis = self.axis;
        let slices = g.gather(ct, indices, axis)?;
        let (of_data, of_updates) = match self.mode {
            Mode::Add => (ct, slices),
            Mode::Sub => (ct, g.mul(slices, minus_one)?),
            Mode::Mul | Mode::Div => {
                let along = g.mul(ct, y)?;
                let along = g.gather(along, indices, axis)?;
                let slope = g.real_div(along, updates)?;
                let slope = match self.mode {
                    Mode::Mul => slope,
                    _ => g.mul(slope, minus_one)?,
                };
                (g.scatter(ct, indices, updates, axis, self.mode)?, slope)
            }
            Mode::Max | Mode::Min => {
                let kept = g.equal(y, data)?;
                let results = g.gather(y, indices, axis)?;
                let put = g.equal(results, updates)?;
                (g.select(kept, ct, zero)?, g.select(put, slices, zero)?)
            }
            Mode::Update => {
                let ty = g.ty(updates).clone();
                let zeros = g.fill(&ty, 0.0)?;
                (g.scatter(ct, indices, zeros, axis, Mode::Update)?, slices)
            }
        };
        Ok(vec![of_data.into(), Cotangent::Zero, of_updates.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        let (s, d) = (Fill::Signed, Fill::Distinct);
        let indices = |n, fill| (TensorType::new(DType::Int32, [n]), fill);
        let op = |axis, mode| Self {
            axis,
            mode,
            validate_indices: false,
        };
        let mut samples = vec![
            Sample::new(
                op(0, Mode::Add),
                [
                    support::f(&[4, 2], s),
                    indices(6, Fill::Integers),
                    support::f(&[6, 2], s),
                ],
            ),
            Sample::new(
                op(-1, Mode::Sub),
                [
                    support::f(&[2, 5], s),
                    indices(3, Fill::Integers),
                    support::f(&[2, 3], s),
                ],
            ),
            Sample::new(
                op(1, Mode::Update),
                [
                    support::f(&[2, 5, 2], s),
                    indices(3, Fill::Order),
                    support::f(&[2, 3, 2], s),
                ],
            ),
            Sample::new(
                op(1, Mode::Add),
                [
                    support::h(&[3, 7, 20], s),
                    indices(9, Fill::Integers),
                    support::h(&[3, 9, 20], s),
                ],
            ),
            Sample::new(
                op(0, Mode::Add),
                [
                    (TensorType::new(DType::Int32, [5]), Fill::Integers),
                    indices(3, Fill::Integers),
                    (TensorType::new(DType::Int32, [3]), Fill::Integers),
                ],
            ),
        ];
        samples.extend([Mode::Mul, Mode::Div, Mode::Max, Mode::Min].map(|mode| {
            Sample::new(
                op(0, mode),
                [
                    support::f(&[4, 2], s),
                    indices(5, Fill::Integers),
                    support::f(&[5, 2], d),
                ],
            )
        }));
        samples
    }
}

impl Scatter {
    /// The axis along which the slices lie.
    fn axis_of(&self, data: &TensorType) -> Result<usize, TypeError> {
        let axis = data
            .shape
            .axis(self.axis)
            .filter(|&a| data.shape.dims()[a] > 0);
        axis.ok_or_else(|| {
            let expected = format!("an axis of {} that is not empty", data.shape);
            support::attribute(Self::NAME, "axis", expected, self.axis)
        })
    }
}

impl Graph {
    /// `data` with `updates` put or added to its slices along `axis` at `indices`.
    ///
    /// # Errors
    /// When `data` is not a number, the indices are no int32 vector, the axis does not exist, or `updates` has not one
    /// slice of `data` for every index.
    pub fn scatter(
        &mut self,
        data: Value,
        indices: Value,
        updates: Value,
        axis: i32,
        mode: Mode,
    ) -> Result<Value, TypeError> {
        let op = Scatter {
            axis,
            mode,
            validate_indices: false,
        };
        self.push(op, &[data, indices, updates])
    }
}
