//! Where the axes of a tensor lie, and how it is brought to where a layer wants them.

use super::{Layer, Run};
use crate::keras::error::KerasError;
use ane_ir::{DType, Literal, Shape, TensorType, Value};
use ane_train::model::Input;

/// Most elements of a tensor.
const MOST_ELEMENTS: usize = 1 << 32;
/// Most axes of a tensor, the batch among them.
const MOST_AXES: usize = 8;

/// A tensor of Keras's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::keras) struct Tensor {
    /// The value in the graph.
    pub(in crate::keras) value: Value,
    /// Whether the last axis lies behind the batch instead.
    pub(in crate::keras) channels_first: bool,
}

impl Tensor {
    /// A value whose axes are Keras's.
    pub(in crate::keras) fn plain(value: Value) -> Self {
        Self {
            value,
            channels_first: false,
        }
    }
}

impl Run<'_> {
    /// Keras's shape of a tensor.
    pub(in crate::keras) fn dims(&self, x: Tensor) -> Vec<usize> {
        let mut dims = self.cx.shape(x.value).dims().to_vec();
        if x.channels_first {
            dims[1..].rotate_left(1);
        }
        dims
    }

    /// Where in the graph an axis of Keras's lies; negative ones count from the back.
    pub(in crate::keras) fn axis(&self, x: Tensor, axis: i64) -> Result<usize, KerasError> {
        let rank = self.cx.shape(x.value).rank();
        let axis = self.keras_axis(x, axis)?;
        Ok(match (x.channels_first, axis) {
            (false, _) | (_, 0) => axis,
            (true, a) if a + 1 == rank => 1,
            (true, a) => a + 1,
        })
    }

    /// An axis of Keras's, counted from the front.
    pub(in crate::keras) fn keras_axis(&self, x: Tensor, axis: i64) -> Result<usize, KerasError> {
        let shape = self.cx.shape(x.value);
        let found = i32::try_from(axis).ok().and_then(|a| shape.axis(a));
        found.ok_or_else(|| {
            let expected = format!("an axis of x, which has {}", shape.rank());
            crate::keras::settings::wrong("axis", expected, axis)
        })
    }

    /// The value with Keras's axes.
    pub(in crate::keras) fn plain(&mut self, x: Tensor) -> Result<Value, KerasError> {
        if !x.channels_first {
            return Ok(x.value);
        }
        let dims = self.dims(x);
        let rank = dims.len();
        let mut order: Vec<usize> = (0..rank).collect();
        order[1..].rotate_left(1);
        self.rearranged(x.value, &order, &dims)
    }

    /// The value with the last axis behind the batch.
    pub(in crate::keras) fn first(&mut self, x: Tensor) -> Result<Value, KerasError> {
        if x.channels_first {
            return Ok(x.value);
        }
        let mut dims = self.dims(x);
        let rank = dims.len();
        let mut order: Vec<usize> = (0..rank).collect();
        order[1..].rotate_right(1);
        dims[1..].rotate_right(1);
        self.rearranged(x.value, &order, &dims)
    }

    /// A transpose, which is a reshape where only axes of one element move.
    pub(in crate::keras) fn rearranged(
        &mut self,
        x: Value,
        order: &[usize],
        to: &[usize],
    ) -> Result<Value, KerasError> {
        let from = self.cx.shape(x).dims();
        let moving: Vec<usize> = order.iter().copied().filter(|&a| from[a] > 1).collect();
        if moving.is_sorted() {
            return self.reshape(x, to);
        }
        let order: Vec<i32> = order.iter().map(|&a| int(a)).collect();
        Ok(self.cx.graph().transpose(x, &order)?)
    }

    /// An image as a layer with this data format wants it, [B, C, …].
    pub(in crate::keras) fn enter(
        &mut self,
        x: Tensor,
        layer: &Layer<'_>,
    ) -> Result<Value, KerasError> {
        let rank = layer.axes() + 2;
        let dims = self.dims(x);
        if dims.len() != rank {
            let expected = format!("x with {rank} axes, the batch among them");
            return Err(KerasError::input(expected, format!("{dims:?}")));
        }
        if layer.channels_first()? {
            self.plain(x)
        } else {
            self.first(x)
        }
    }

    /// Examples, such as images [B, C, H, W], as an input of the model takes them.
    pub(in crate::keras) fn example(
        &mut self,
        x: Value,
        takes: &Input,
    ) -> Result<Tensor, KerasError> {
        if !takes.dtype.is_float() {
            return Err(KerasError::input(
                "numbers of an integer type",
                "examples of real numbers",
            ));
        }
        let shape = takes.shape.dims();
        let as_it_is = self.dims(Tensor::plain(x));
        if as_it_is.len() != 4 {
            if as_it_is[1..] == *shape {
                return Ok(Tensor::plain(x));
            }
            return Err(KerasError::input(
                format!("examples {shape:?}"),
                format!("examples {:?}", &as_it_is[1..]),
            ));
        }
        let image = Tensor {
            value: x,
            channels_first: true,
        };
        let &[batch, rows, columns, channels] = &self.dims(image)[..] else {
            unreachable!("a tensor of four axes keeps them");
        };
        let is_plane = channels == 1 && shape == [rows, columns];
        if shape == [rows, columns, channels] {
            return Ok(image);
        }
        if shape == [channels, rows, columns] {
            return Ok(Tensor::plain(image.value));
        }
        if is_plane || shape == [rows * columns * channels] {
            let value = self.plain(image)?;
            let dims: Vec<usize> = [batch].iter().chain(shape).copied().collect();
            return Ok(Tensor::plain(self.reshape(value, &dims)?));
        }
        Err(KerasError::input(
            format!("examples {shape:?}"),
            format!("images of {rows} rows, {columns} columns and {channels} channels"),
        ))
    }

    /// What a layer makes of an image [B, C, …].
    pub(in crate::keras) fn leave(
        &self,
        value: Value,
        layer: &Layer<'_>,
    ) -> Result<Tensor, KerasError> {
        Ok(Tensor {
            value,
            channels_first: !layer.channels_first()?,
        })
    }

    /// Tensors of one rank in one arrangement; others with Keras's axes.
    pub(in crate::keras) fn together(
        &mut self,
        xs: &[Tensor],
    ) -> Result<(Vec<Value>, bool), KerasError> {
        let rank = |run: &Self, x: &Tensor| run.cx.shape(x.value).rank();
        let ranks: Vec<usize> = xs.iter().map(|x| rank(self, x)).collect();
        let same = ranks.iter().all(|&r| r == ranks[0] && r > 2);
        let first = same && xs.iter().any(|x| x.channels_first);
        let values = xs.iter().map(|&x| match first {
            true => self.first(x),
            false => self.plain(x),
        });
        Ok((values.collect::<Result<_, _>>()?, first))
    }

    /// As real numbers.
    pub(in crate::keras) fn real(&mut self, x: Tensor) -> Result<Tensor, KerasError> {
        if self.cx.graph().ty(x.value).dtype.is_float() {
            return Ok(x);
        }
        let dtype = self.cx.dtype();
        let value = self.cx.graph().cast(x.value, dtype)?;
        Ok(Tensor { value, ..x })
    }

    /// As indices.
    pub(in crate::keras) fn indices(&mut self, x: Tensor) -> Result<Value, KerasError> {
        let x = self.plain(x)?;
        if self.cx.graph().ty(x).dtype == DType::Int32 {
            return Ok(x);
        }
        Ok(self.cx.graph().cast(x, DType::Int32)?)
    }

    /// A reshape.
    pub(in crate::keras) fn reshape(
        &mut self,
        x: Value,
        to: &[usize],
    ) -> Result<Value, KerasError> {
        fits(to, "a tensor")?;
        Ok(self.cx.graph().reshape(x, &Shape::new(to))?)
    }

    /// A transpose.
    pub(in crate::keras) fn transpose(
        &mut self,
        x: Value,
        order: &[i32],
    ) -> Result<Value, KerasError> {
        Ok(self.cx.graph().transpose(x, order)?)
    }

    /// A constant of real numbers.
    pub(in crate::keras) fn constant(
        &mut self,
        dims: &[usize],
        x: &[f64],
    ) -> Result<Value, KerasError> {
        let ty = TensorType::new(self.cx.dtype(), Shape::new(dims));
        Ok(self.cx.graph().constant(Literal::from_f64(ty, x))?)
    }

    /// A vector along one axis of a tensor of this rank, in the graph.
    pub(in crate::keras) fn along(
        &mut self,
        v: Value,
        axis: usize,
        rank: usize,
    ) -> Result<Value, KerasError> {
        let mut dims = vec![1; rank];
        dims[axis] = self.cx.shape(v).numel();
        self.reshape(v, &dims)
    }
}

/// Whether a tensor is within bounds.
pub(in crate::keras) fn fits(dims: &[usize], what: &str) -> Result<(), KerasError> {
    let product = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
    if dims.len() <= MOST_AXES && product.is_some_and(|n| n <= MOST_ELEMENTS) {
        return Ok(());
    }
    Err(KerasError::Limit {
        what: format!("the size of {what}"),
        found: crate::keras::error::shortened(&format!("{dims:?}")),
        most: MOST_ELEMENTS,
    })
}

/// A size as an attribute; bounds of settings keep it in range.
pub(in crate::keras) fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

/// Sizes as an attribute.
pub(in crate::keras) fn ints(sizes: &[usize]) -> Vec<i32> {
    sizes.iter().map(|&s| int(s)).collect()
}
