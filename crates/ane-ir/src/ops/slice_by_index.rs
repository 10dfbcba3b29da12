//! `slice_by_index`: every so many elements of a tensor, from an index to another.
//!
//! ```text
//! # Definition   result[i…] = x[begin + i · stride…], as long as the index is before end; as NumPy's x[begin:end:stride]
//! # Operands     x: any          # Result    the selected elements, dtype of x
//! # Attributes   begin, end: from the back where negative; stride (1): backwards where negative; begin_mask, end_mask
//! #              (false): from the first element, to the last, whatever begin and end say; squeeze_mask (false): the one
//! #              element at begin, without its axis
//! # Gradient     ct between zeros
//! # ANE          numerics: a last-axis offset clamps |x| > 4094 on h13 and h14
//! # Sources      coremltools iOS15 tensor_transformation; NumPy basic slicing
//! ```

use super::{Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes, support};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Real, Tensor},
    types::{DType, Shape, TensorType},
};

attributes! {
    /// Every so many elements of a tensor, from an index to another.
    SliceByIndex {
        /// First index on every axis.
        begin: Vec<i32>,
        /// The index before which to stop, on every axis.
        end: Vec<i32>,
        /// From one index to the next, on every axis; 1 when left out.
        stride: Option<Vec<i32>>,
        /// Axes that are read from their start.
        begin_mask: Option<Vec<bool>>,
        /// Axes that are read to their end.
        end_mask: Option<Vec<bool>>,
        /// Axes of which one element is read, and that go.
        squeeze_mask: Option<Vec<bool>>,
    }
}

/// What is read along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceAxis {
    /// Index of the first element.
    pub first: usize,
    /// Number of elements.
    pub len: usize,
    /// From one index to the next; negative backwards.
    pub step: isize,
    /// Whether the axis goes.
    pub squeezed: bool,
}

impl SliceAxis {
    /// Index of element `i`.
    pub fn index(&self, i: usize) -> usize {
        self.first
            .wrapping_add_signed(self.step.wrapping_mul(i.cast_signed()))
    }
}

impl OpDef for SliceByIndex {
    const NAME: &'static str = "slice_by_index";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];
    const MOVES: bool = true;

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        let axes = self.axes(&xs[0].shape)?;
        support::one(TensorType {
            dtype: xs[0].dtype,
            shape: axes.iter().filter(|a| !a.squeezed).map(|a| a.len).collect(),
        })
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, numerics: &Numerics) -> Vec<Tensor<T>> {
        let x = xs[0];
        let axes = self
            .axes(&x.ty.shape)
            .expect("the node was typed when it was made");
        let mut offsets = vec![0];
        for (axis, stride) in axes.iter().zip(x.ty.shape.strides()) {
            offsets = offsets
                .iter()
                .flat_map(|&o| (0..axis.len).map(move |i| o + axis.index(i) * stride))
                .collect();
        }
        let inside = axes.last().is_some_and(|axis| axis.first > 0);
        let element = |o: usize| {
            if inside {
                numerics.slice_cliff(x.ty.dtype, x.data[o])
            } else {
                x.data[o]
            }
        };
        vec![Tensor {
            ty: TensorType {
                dtype: x.ty.dtype,
                shape: axes.iter().filter(|a| !a.squeezed).map(|a| a.len).collect(),
            },
            data: offsets.into_iter().map(element).collect(),
        }]
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(mut ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        let x = cx.g.ty(cx.xs[0]).clone();
        if !x.dtype.is_float() {
            return Ok(vec![Cotangent::Zero]);
        }
        let axes = self.axes(&x.shape)?;
        let g = &mut *cx.g;
        let kept: Shape = axes.iter().map(|a| a.len).collect();
        ct = support::view(g, ct, &kept)?;
        let mut pad = Vec::new();
        for (i, axis) in axes.iter().enumerate() {
            let mut begin = axis.first;
            if axis.step < 0 && axis.len > 1 {
                ct = reversed(g, ct, i)?;
                begin = axis.index(axis.len - 1);
            }
            let length = x.shape.dims()[i];
            let step = axis.step.unsigned_abs();
            if step > 1 && axis.len > 1 {
                ct = spread(g, ct, i, step, length - begin)?;
            }
            pad.extend([begin, length - begin - g.ty(ct).shape.dims()[i]]);
        }
        if pad.iter().any(|&p| p > 0) {
            ct = g.pad(ct, &support::window::ints(pad), 0.0)?;
        }
        Ok(vec![ct.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        let s = Fill::Signed;
        let op = |begin: &[i32], end: &[i32], stride: &[i32]| Self {
            begin: begin.to_vec(),
            end: end.to_vec(),
            stride: (!stride.is_empty()).then(|| stride.to_vec()),
            begin_mask: None,
            end_mask: None,
            squeeze_mask: None,
        };
        vec![
            Sample::new(op(&[1, 0], &[3, 4], &[]), [support::f(&[3, 4], s)]),
            Sample::new(op(&[0, 1], &[3, 6], &[2, 2]), [support::f(&[3, 6], s)]),
            Sample::new(op(&[-2, -1], &[3, 0], &[1, -2]), [support::f(&[3, 6], s)]),
            Sample::new(
                Self {
                    begin_mask: Some(vec![true, false, false]),
                    end_mask: Some(vec![false, true, false]),
                    squeeze_mask: Some(vec![false, false, true]),
                    ..op(&[1, 1, -1], &[1, 0, 0], &[1, 3, 1])
                },
                [support::f(&[2, 5, 3], s)],
            ),
            Sample::new(
                Self {
                    begin_mask: Some(vec![true]),
                    end_mask: Some(vec![true]),
                    ..op(&[0], &[0], &[-3])
                },
                [support::f(&[7], s)],
            ),
            Sample::new(
                Self {
                    end_mask: Some(vec![false, true]),
                    ..op(&[2, 3], &[9, 0], &[1, 2])
                },
                [support::h(&[5, 70], s)],
            ),
            Sample::new(
                Self {
                    begin_mask: Some(vec![false, true]),
                    ..op(&[0, 0], &[2, -1], &[])
                },
                [(TensorType::new(DType::Int32, [2, 5]), Fill::Integers)],
            ),
        ]
    }
}

/// `x` with `axis` backwards: a slice of all of it, so that whoever takes the op takes its gradient.
fn reversed(g: &mut Graph, x: Value, axis: usize) -> Result<Value, TypeError> {
    let rank = g.ty(x).shape.rank();
    let mut stride = vec![1; rank];
    stride[axis] = -1;
    let all = Some(vec![true; rank]);
    let op = SliceByIndex {
        begin: vec![0; rank],
        end: vec![0; rank],
        stride: Some(stride),
        begin_mask: all.clone(),
        end_mask: all,
        squeeze_mask: None,
    };
    g.push(op, &[x])
}

/// `x` with `step − 1` zeros after every element on `axis`, cut to `most`.
fn spread(
    g: &mut Graph,
    x: Value,
    axis: usize,
    step: usize,
    most: usize,
) -> Result<Value, TypeError> {
    let shape = g.ty(x).shape.clone();
    let outer: usize = shape.dims()[..=axis].iter().product();
    let inner: usize = shape.dims()[axis + 1..].iter().product();
    let elements = support::view(g, x, &[outer, 1, inner].into())?;
    let zeros = support::window::ints([0, 0, 0, step - 1, 0, 0]);
    let spread = g.pad(elements, &zeros, 0.0)?;
    let mut lengths = shape.dims().to_vec();
    lengths[axis] *= step;
    let spread = support::view(g, spread, &Shape::new(&lengths))?;
    if lengths[axis] <= most {
        return Ok(spread);
    }
    lengths[axis] = most;
    let begin = vec![0; lengths.len()];
    g.slice_by_size(spread, &begin, &support::window::ints(lengths))
}

impl Graph {
    /// `x[begin:end:stride]` of every axis; negative indices count from the back.
    ///
    /// # Errors
    /// When there is not one index and stride for every axis, a stride is 0, or nothing is selected.
    pub fn slice_by_index(
        &mut self,
        x: Value,
        begin: &[i32],
        end: &[i32],
        stride: &[i32],
    ) -> Result<Value, TypeError> {
        let op = SliceByIndex {
            begin: begin.to_vec(),
            end: end.to_vec(),
            stride: Some(stride.to_vec()),
            begin_mask: None,
            end_mask: None,
            squeeze_mask: None,
        };
        self.push(op, &[x])
    }
}

impl SliceByIndex {
    /// What is read along every axis of `x`.
    ///
    /// # Errors
    /// When an attribute has not one value for every axis, a stride is 0, or nothing is selected.
    pub fn axes(&self, x: &Shape) -> Result<Vec<SliceAxis>, TypeError> {
        let rank = x.rank();
        let wrong = |name, found: String| {
            let expected = format!("one value for each axis of {x}");
            support::attribute(Self::NAME, name, expected, found)
        };
        for (name, given) in [("begin", &self.begin), ("end", &self.end)] {
            if given.len() != rank {
                return Err(wrong(name, format!("{given:?}")));
            }
        }
        let ones = vec![1; rank];
        let stride = self.stride.as_ref().unwrap_or(&ones);
        if stride.len() != rank || stride.contains(&0) {
            let expected = format!("a number other than 0 for each axis of {x}");
            return Err(support::attribute(
                Self::NAME,
                "stride",
                expected,
                format!("{stride:?}"),
            ));
        }
        for (name, mask) in [
            ("begin_mask", &self.begin_mask),
            ("end_mask", &self.end_mask),
            ("squeeze_mask", &self.squeeze_mask),
        ] {
            if let Some(found) = mask.as_ref().filter(|m| m.len() != rank) {
                return Err(wrong(name, format!("{found:?}")));
            }
        }
        let set = |mask: &Option<Vec<bool>>, i: usize| mask.as_ref().is_some_and(|m| m[i]);
        (0..rank)
            .map(|i| {
                let length = i64::try_from(x.dims()[i]).unwrap_or(i64::MAX);
                let from_back = |index: i32| i64::from(index) + if index < 0 { length } else { 0 };
                let (begin, end) = (from_back(self.begin[i]), from_back(self.end[i]));
                let (mut step, mut len) = (i64::from(stride[i]), 1);
                let first;
                if set(&self.squeeze_mask, i) {
                    (first, step) = (begin, 1);
                } else if step > 0 {
                    first = if set(&self.begin_mask, i) {
                        0
                    } else {
                        begin.max(0)
                    };
                    let last = if set(&self.end_mask, i) {
                        length
                    } else {
                        end.min(length)
                    };
                    len = (last - first + step - 1).max(0) / step;
                } else {
                    let end_of = length - 1;
                    first = if set(&self.begin_mask, i) {
                        end_of
                    } else {
                        begin.min(end_of)
                    };
                    let last = if set(&self.end_mask, i) {
                        -1
                    } else {
                        end.max(-1)
                    };
                    len = (first - last - step - 1).max(0) / -step;
                }
                if len == 0 || !(0..length).contains(&first) {
                    let expected = format!("at least one element of axis {i} of {x}");
                    let found = format!("{}:{}:{}", self.begin[i], self.end[i], stride[i]);
                    return Err(support::attribute(Self::NAME, "end", expected, found));
                }
                let positive = |n: i64| usize::try_from(n).expect("checked above");
                Ok(SliceAxis {
                    first: positive(first),
                    len: positive(len),
                    step: isize::try_from(step).expect("a step has 32 bits"),
                    squeezed: set(&self.squeeze_mask, i),
                })
            })
            .collect()
    }
}
