//! What the pools share: one number for every window of every plane of a batch of images.

use super::window::{self, WindowAttributes, WindowAxis};
use crate::{
    ops::{ResultTypes, TypeError, support},
    tensor::{Real, Tensor},
    types::{Shape, TensorType},
};

/// Sizes of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDims {
    /// Images.
    pub batch: usize,
    /// Channels of an image.
    pub channels: usize,
    /// The windows on every spatial axis; each covers an element of the image.
    pub axes: Vec<WindowAxis>,
}

impl PoolDims {
    /// The windows of lengths `kernel_sizes` over `x`.
    pub(crate) fn new(
        attributes: &WindowAttributes<'_>,
        kernel_sizes: &[i32],
        x: &TensorType,
    ) -> Result<Self, TypeError> {
        let image = window::spatial(attributes.op, "x", x)?;
        let kernel: Option<Vec<usize>> = kernel_sizes
            .iter()
            .map(|&k| usize::try_from(k).ok().filter(|&k| k > 0))
            .collect();
        let kernel = kernel.filter(|k| k.len() == image.len()).ok_or_else(|| {
            let expected = format!("a positive number for each of {} spatial axes", image.len());
            let found = format!("{kernel_sizes:?}");
            support::attribute(attributes.op, "kernel_sizes", expected, found)
        })?;
        if attributes.ceil_mode && attributes.pad_type.is_same() {
            let expected = "off where pad_type is same or same_lower";
            return Err(support::attribute(
                attributes.op,
                "ceil_mode",
                expected,
                "true",
            ));
        }
        let axes = attributes.over(image, &kernel)?;
        window::refuse_empty(attributes.op, &axes)?;
        Ok(Self {
            batch: x.shape.dims()[0],
            channels: x.shape.dims()[1],
            axes,
        })
    }

    /// Elements that a window covers, with the padding.
    pub fn kernel(&self) -> usize {
        self.axes.iter().map(|a| a.kernel).product()
    }

    /// Shape of the result.
    pub fn windows(&self) -> Shape {
        let lengths = self.axes.iter().map(|a| a.output);
        window::image(self.batch, self.channels, lengths)
    }

    /// Shape of the image.
    pub fn image(&self) -> Shape {
        let lengths = self.axes.iter().map(|a| a.input);
        window::image(self.batch, self.channels, lengths)
    }

    /// The same image with every channel a batch of its own: [N·C, 1, *D].
    pub(crate) fn planes(&self) -> Self {
        Self {
            batch: self.batch * self.channels,
            channels: 1,
            axes: self.axes.clone(),
        }
    }
}

/// Type rule of a pool.
pub(crate) fn ty(x: &TensorType, dims: &PoolDims) -> Result<ResultTypes, TypeError> {
    support::one(TensorType {
        dtype: x.dtype,
        shape: dims.windows(),
    })
}

/// `f` of the elements of every window, in row-major order and without the padding, and of the number of the window.
pub(crate) fn windows<T: Real>(
    x: &Tensor<T>,
    dims: &PoolDims,
    f: impl Fn(usize, &[T]) -> T,
) -> Vec<Tensor<T>> {
    let taps = window::taps(&dims.axes);
    let plane: usize = dims.axes.iter().map(|a| a.input).product();
    let mut data = Vec::with_capacity(dims.batch * dims.channels * taps.len());
    let mut covered = Vec::with_capacity(dims.kernel());
    for image in x.data.chunks_exact(plane) {
        for (o, window) in taps.iter().enumerate() {
            covered.clear();
            covered.extend(window.iter().map(|&(at, _)| image[at]));
            data.push(f(o, &covered));
        }
    }
    vec![Tensor {
        ty: TensorType {
            dtype: x.ty.dtype,
            shape: dims.windows(),
        },
        data,
    }]
}
