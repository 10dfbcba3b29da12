//! `nn.ConvTranspose2d`: the gradient of a convolution with respect to its image, as a layer.

use super::{Layer, PerAxis, bias, channels, groups, positive, window};
use crate::model::{Builder, Init, LayerError, ModelError, Tags};
use ane_ir::{
    Value,
    ops::{conv_transpose::ConvTranspose as Op, support::window::PadType},
};

/// A transposed convolution: x [B, inputs, H, W] → [B, outputs, H', W'] with
/// H' = (H − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvTranspose2d {
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    output_padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    bias: bool,
}

const NAME: &str = "ConvTranspose2d";

impl ConvTranspose2d {
    /// With stride 1, no padding, no dilation, one group and a bias.
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<PerAxis<2>>) -> Self {
        Self {
            inputs,
            outputs,
            kernel: kernel.into().0,
            stride: [1; 2],
            padding: [0; 2],
            output_padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: true,
        }
    }

    /// Elements from one window of the result to the next.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis<2>>) -> Self {
        Self {
            stride: stride.into().0,
            ..self
        }
    }

    /// Elements taken off each end of the spatial axes of the result.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis<2>>) -> Self {
        Self {
            padding: padding.into().0,
            ..self
        }
    }

    /// Elements added after the spatial axes of the result, which chooses among the shapes that a convolution with
    /// stride makes into that of x.
    #[must_use]
    pub fn output_padding(self, output_padding: impl Into<PerAxis<2>>) -> Self {
        Self {
            output_padding: output_padding.into().0,
            ..self
        }
    }

    /// Elements from one element of a window to the next.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<PerAxis<2>>) -> Self {
        Self {
            dilation: dilation.into().0,
            ..self
        }
    }

    /// Blocks of channels that do not see each other.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The spatial axes of the result for those of x.
    fn result(&self, image: &[usize]) -> Result<[usize; 2], ModelError> {
        let mut result = [0; 2];
        for i in 0..2 {
            let added = self.output_padding[i];
            if added >= self.stride[i].max(self.dilation[i]) {
                return Err(LayerError::OutputPadding {
                    layer: NAME,
                    output_padding: added,
                    stride: self.stride[i],
                    dilation: self.dilation[i],
                }
                .into());
            }
            let full = (image[i] - 1) * self.stride[i]
                + self.dilation[i] * (self.kernel[i] - 1)
                + 1
                + added;
            result[i] = full
                .checked_sub(2 * self.padding[i])
                .filter(|&n| n > 0)
                .ok_or(LayerError::NothingLeft {
                    layer: NAME,
                    padding: self.padding[i],
                    length: full,
                })?;
        }
        Ok(result)
    }
}

impl Layer for ConvTranspose2d {
    fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let found = cx.shape(x).clone();
        channels::<2>(NAME, &found, self.inputs)?;
        positive(NAME, "kernel", &self.kernel)?;
        positive(NAME, "stride", &self.stride)?;
        positive(NAME, "dilation", &self.dilation)?;
        groups(NAME, self.groups, self.inputs, self.outputs)?;
        let [h, w] = self.result(&found.dims()[2..])?;
        let per_group = self.outputs / self.groups;
        // PyTorch counts the fan-in of the weight as it is stored, [inputs, outputs / groups, k, k].
        let init = Init::fan_in(per_group * self.kernel[0] * self.kernel[1]);
        let shape = [self.inputs, per_group, self.kernel[0], self.kernel[1]];
        let weight = cx.parameter("weight", shape, init.clone(), Tags::default())?;
        let bias = bias(cx, self.bias, self.outputs, init)?;
        let op = Op {
            pad: Some(window::both_sides(&self.padding)),
            output_shape: Some(window::ints(&[found.dims()[0], self.outputs, h, w])),
            pad_type: PadType::Custom,
            strides: Some(window::ints(&self.stride)),
            dilations: Some(window::ints(&self.dilation)),
            groups: window::int(self.groups),
        };
        Ok(cx.graph().conv_transpose(x, weight, bias, op)?)
    }
}
