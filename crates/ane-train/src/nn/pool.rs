//! `nn.MaxPool2d` and `nn.AvgPool2d`: the largest element and the mean of windows.

use super::{Layer, PerAxis, image, window};
use crate::model::{Builder, ModelError};
use ane_ir::{
    Value,
    ops::{avg_pool::AvgPool, max_pool::MaxPool, support::window::PadType},
};

/// The windows of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    ceil_mode: bool,
}

impl Windows {
    fn new(kernel: [usize; 2]) -> Self {
        Self {
            kernel,
            stride: kernel,
            padding: [0; 2],
            ceil_mode: false,
        }
    }

    fn check(&self, layer: &'static str, cx: &Builder, x: Value) -> Result<(), ModelError> {
        let found = cx.shape(x);
        image::<2>(layer, found)?;
        window::fits(
            layer,
            found,
            &self.kernel,
            &self.stride,
            &[1; 2],
            &self.padding,
        )?;
        window::padding_of_pool(layer, &self.kernel, &self.padding)
    }
}

macro_rules! windows_of_a_pool {
    ($pool:ident) => {
        impl $pool {
            /// Elements from one window to the next; as many as a window covers when not set.
            #[must_use]
            pub fn stride(mut self, stride: impl Into<PerAxis<2>>) -> Self {
                self.windows.stride = stride.into().0;
                self
            }

            /// Elements before and after each spatial axis, at most half of the kernel.
            #[must_use]
            pub fn padding(mut self, padding: impl Into<PerAxis<2>>) -> Self {
                self.windows.padding = padding.into().0;
                self
            }

            /// Whether a last window counts that is not filled.
            #[must_use]
            pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
                self.windows.ceil_mode = ceil_mode;
                self
            }
        }
    };
}

/// The largest element of every window: x [B, C, H, W] → [B, C, H', W'].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool2d {
    windows: Windows,
}

impl MaxPool2d {
    /// Windows side by side, without padding, which is never the largest.
    pub fn new(kernel: impl Into<PerAxis<2>>) -> Self {
        Self {
            windows: Windows::new(kernel.into().0),
        }
    }
}

windows_of_a_pool!(MaxPool2d);

impl Layer for MaxPool2d {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let Windows {
            kernel,
            stride,
            padding,
            ceil_mode,
        } = self.windows;
        self.windows.check("MaxPool2d", cx, x)?;
        let op = MaxPool {
            kernel_sizes: window::ints(&kernel),
            strides: Some(window::ints(&stride)),
            pad_type: PadType::Custom,
            pad: Some(window::both_sides(&padding)),
            ceil_mode,
        };
        Ok(cx.graph().max_pool(x, op)?)
    }
}

/// The mean of every window: x [B, C, H, W] → [B, C, H', W'].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2d {
    windows: Windows,
    count_include_pad: bool,
}

impl AvgPool2d {
    /// Windows side by side, without padding, which counts as zeros.
    pub fn new(kernel: impl Into<PerAxis<2>>) -> Self {
        Self {
            windows: Windows::new(kernel.into().0),
            count_include_pad: true,
        }
    }

    /// Whether padding counts as elements of the mean.
    #[must_use]
    pub fn count_include_pad(self, count_include_pad: bool) -> Self {
        Self {
            count_include_pad,
            ..self
        }
    }
}

windows_of_a_pool!(AvgPool2d);

impl Layer for AvgPool2d {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let Windows {
            kernel,
            stride,
            padding,
            ceil_mode,
        } = self.windows;
        self.windows.check("AvgPool2d", cx, x)?;
        let op = AvgPool {
            kernel_sizes: window::ints(&kernel),
            strides: Some(window::ints(&stride)),
            pad_type: PadType::Custom,
            pad: Some(window::both_sides(&padding)),
            exclude_padding_from_average: !self.count_include_pad,
            ceil_mode,
        };
        Ok(cx.graph().avg_pool(x, op)?)
    }
}
