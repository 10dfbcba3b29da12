//! Small residual networks for images of 28 to 32 pixels: a convolution, three stages of basic blocks, a global mean.
//!
//! Stages have 16, 32 and 64 channels; the second and third begin with stride 2 and a 1×1 projection on the shortcut.
//! Names are torchvision's.
//!
//! # Sources
//! He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015, section 4.2, with option B for
//! shortcuts.

use super::{Entry, Examples, Network};
use crate::{
    model::{Builder, ModelError},
    nn::{
        Activation::Relu, AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Layer, Linear, Residual,
        Sequential,
    },
};
use ane_ir::Value;

pub(super) static RESNET8: Entry = Entry {
    name: "resnet8",
    about: "residual network of 8 layers: one basic block per stage of 16, 32 and 64 channels",
    reconstructs: false,
    flat: false,
    network: Network::Layers(|cx, x, examples| forward(cx, x, examples, 1)),
};

pub(super) static RESNET20: Entry = Entry {
    name: "resnet20",
    about: "residual network of 20 layers: three basic blocks per stage of 16, 32 and 64 channels",
    reconstructs: false,
    flat: false,
    network: Network::Layers(|cx, x, examples| forward(cx, x, examples, 3)),
};

fn forward(
    cx: &mut Builder,
    x: Value,
    examples: &Examples,
    blocks: usize,
) -> Result<Value, ModelError> {
    let mut x = cx.layer("conv1", conv3(examples.shape.dims()[0], 16, 1), x)?;
    x = cx.layer("bn1", BatchNorm2d::new(16), x)?;
    x = cx.layer("relu", Relu, x)?;
    let mut channels = 16;
    for (stage, (outputs, stride)) in [(16, 1), (32, 2), (64, 2)].into_iter().enumerate() {
        x = cx.scope(&format!("layer{}", stage + 1), |cx| {
            let mut x = x;
            for block in 0..blocks {
                let stride = if block == 0 { stride } else { 1 };
                x = cx.scope(&block.to_string(), |cx| {
                    basic_block(cx, x, channels, outputs, stride)
                })?;
                channels = outputs;
            }
            Ok(x)
        })?;
    }
    x = cx.layer("avgpool", AdaptiveAvgPool2d::new(1), x)?;
    x = cx.layer("flatten", Flatten, x)?;
    cx.layer("fc", Linear::new(64, examples.outputs.width()), x)
}

/// Two 3×3 convolutions with batch norm, around which goes a shortcut.
fn basic_block(
    cx: &mut Builder,
    x: Value,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> Result<Value, ModelError> {
    let mut block = Residual::new(move |cx: &mut Builder, x| {
        let x = cx.layer("conv1", conv3(inputs, outputs, stride), x)?;
        let x = cx.layer("bn1", BatchNorm2d::new(outputs), x)?;
        let x = cx.layer("relu1", Relu, x)?;
        let x = cx.layer("conv2", conv3(outputs, outputs, 1), x)?;
        cx.layer("bn2", BatchNorm2d::new(outputs), x)
    });
    if inputs != outputs || stride != 1 {
        let projection = Conv2d::new(inputs, outputs, 1).stride(stride).bias(false);
        let downsample = Sequential::new()
            .then(projection)
            .then(BatchNorm2d::new(outputs));
        block = block.shortcut("downsample", downsample);
    }
    let x = block.forward(cx, x)?;
    cx.layer("relu2", Relu, x)
}

/// A 3×3 convolution that keeps the image's size but for its stride. Batch norm takes the place of the bias.
fn conv3(inputs: usize, outputs: usize, stride: usize) -> Conv2d {
    Conv2d::new(inputs, outputs, 3)
        .stride(stride)
        .padding(1)
        .bias(false)
}
