//! `nn.Conv1d` and `nn.Conv2d`: convolution over one or two spatial axes.

use super::{Layer, PerAxis, bias, channels, groups, window};
use crate::model::{Builder, Init, ModelError, Tags};
use ane_ir::{
    Shape, Value,
    ops::{conv::Conv as Op, support::window::PadType},
};

/// A convolution over `N` spatial axes: x [B, inputs, *D] → [B, outputs, *D'] with
/// D' = ⌊(D + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv<const N: usize> {
    inputs: usize,
    outputs: usize,
    kernel: [usize; N],
    stride: [usize; N],
    padding: [usize; N],
    dilation: [usize; N],
    groups: usize,
    bias: bool,
}

/// `nn.Conv1d`
pub type Conv1d = Conv<1>;
/// `nn.Conv2d`
pub type Conv2d = Conv<2>;

impl<const N: usize> Conv<N> {
    /// With stride 1, no padding, no dilation, one group and a bias.
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<PerAxis<N>>) -> Self {
        Self {
            inputs,
            outputs,
            kernel: kernel.into().0,
            stride: [1; N],
            padding: [0; N],
            dilation: [1; N],
            groups: 1,
            bias: true,
        }
    }

    /// Elements from one window to the next.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis<N>>) -> Self {
        Self {
            stride: stride.into().0,
            ..self
        }
    }

    /// Zeros before and after each spatial axis.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis<N>>) -> Self {
        Self {
            padding: padding.into().0,
            ..self
        }
    }

    /// Elements from one element of a window to the next.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<PerAxis<N>>) -> Self {
        Self {
            dilation: dilation.into().0,
            ..self
        }
    }

    /// Blocks of channels that do not see each other; as many as inputs make a depthwise convolution.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    const NAME: &'static str = if N == 1 { "Conv1d" } else { "Conv2d" };
}

impl<const N: usize> Layer for Conv<N> {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x);
        channels::<N>(Self::NAME, found, self.inputs)?;
        window::fits(
            Self::NAME,
            found,
            &self.kernel,
            &self.stride,
            &self.dilation,
            &self.padding,
        )?;
        groups(Self::NAME, self.groups, self.inputs, self.outputs)?;
        let per_group = self.inputs / self.groups;
        let init = Init::fan_in(per_group * self.kernel.iter().product::<usize>());
        let shape: Shape = [self.outputs, per_group]
            .into_iter()
            .chain(self.kernel)
            .collect();
        let weight = cx.parameter("weight", shape, init.clone(), Tags::default())?;
        let bias = bias(cx, self.bias, self.outputs, init)?;
        let op = Op {
            strides: Some(window::ints(&self.stride)),
            pad_type: PadType::Custom,
            pad: Some(window::both_sides(&self.padding)),
            dilations: Some(window::ints(&self.dilation)),
            groups: window::int(self.groups),
        };
        Ok(cx.graph().conv(x, weight, bias, op)?)
    }
}
