//! A small network of depthwise separable convolutions, after MobileNet: 16, 32, 64 and 64 channels.
//!
//! A depthwise 3×3 convolution sees each channel alone, a pointwise 1×1 convolution mixes them.
//!
//! # Sources
//! Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017, section
//! 3.1 and figure 3.

use super::{Entry, Examples, Network};
use crate::{
    model::{Builder, ModelError},
    nn::{Activation::Relu, AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear},
};
use ane_ir::Value;

pub(super) static MOBILENET_TINY: Entry = Entry {
    name: "mobilenet-tiny",
    about: "depthwise separable convolutions of 16, 32, 64 and 64 channels",
    reconstructs: false,
    flat: false,
    network: Network::Layers(forward),
};

/// Channels and stride of the separable convolutions after the first one.
const BLOCKS: [(usize, usize); 3] = [(32, 2), (64, 2), (64, 1)];

fn forward(cx: &mut Builder, x: Value, examples: &Examples) -> Result<Value, ModelError> {
    let mut channels = 16;
    let first = Conv2d::new(examples.shape.dims()[0], channels, 3)
        .padding(1)
        .bias(false);
    let mut x = cx.layer("conv1", first, x)?;
    x = cx.layer("bn1", BatchNorm2d::new(channels), x)?;
    x = cx.layer("relu", Relu, x)?;
    for (i, (outputs, stride)) in BLOCKS.into_iter().enumerate() {
        x = cx.scope(&format!("block{}", i + 1), |cx| {
            separable(cx, x, channels, outputs, stride)
        })?;
        channels = outputs;
    }
    x = cx.layer("avgpool", AdaptiveAvgPool2d::new(1), x)?;
    x = cx.layer("flatten", Flatten, x)?;
    cx.layer("fc", Linear::new(channels, examples.outputs.width()), x)
}

fn separable(
    cx: &mut Builder,
    x: Value,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> Result<Value, ModelError> {
    let depthwise = Conv2d::new(inputs, inputs, 3)
        .stride(stride)
        .padding(1)
        .groups(inputs)
        .bias(false);
    let x = cx.layer("depthwise", depthwise, x)?;
    let x = cx.layer("bn1", BatchNorm2d::new(inputs), x)?;
    let x = cx.layer("relu1", Relu, x)?;
    let pointwise = Conv2d::new(inputs, outputs, 1).bias(false);
    let x = cx.layer("pointwise", pointwise, x)?;
    let x = cx.layer("bn2", BatchNorm2d::new(outputs), x)?;
    cx.layer("relu2", Relu, x)
}
