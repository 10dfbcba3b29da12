//! LeNet-5 as it is usually built today: two convolutions with pools, three linear layers, ReLU.
//!
//! # Sources
//! LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998, figure 2.

use super::{Entry, Examples, Network};
use crate::{
    model::{Builder, ModelError},
    nn::{Activation::Relu, Conv2d, Flatten, Linear, MaxPool2d},
};
use ane_ir::Value;

pub(super) static LENET: Entry = Entry {
    name: "lenet",
    about: "LeNet-5: convolutions of 6 and 16 channels, linear layers of 120 and 84",
    reconstructs: false,
    flat: false,
    network: Network::Layers(forward),
};

fn forward(cx: &mut Builder, x: Value, examples: &Examples) -> Result<Value, ModelError> {
    let conv1 = Conv2d::new(examples.shape.dims()[0], 6, 5).padding(2);
    let x = cx.layer("conv1", conv1, x)?;
    let x = cx.layer("relu1", Relu, x)?;
    let x = cx.layer("pool1", MaxPool2d::new(2), x)?;
    let x = cx.layer("conv2", Conv2d::new(6, 16, 5), x)?;
    let x = cx.layer("relu2", Relu, x)?;
    let x = cx.layer("pool2", MaxPool2d::new(2), x)?;
    let x = cx.layer("flatten", Flatten, x)?;
    let features = cx.shape(x).last();
    let x = cx.layer("fc1", Linear::new(features, 120), x)?;
    let x = cx.layer("relu3", Relu, x)?;
    let x = cx.layer("fc2", Linear::new(120, 84), x)?;
    let x = cx.layer("relu4", Relu, x)?;
    cx.layer("fc3", Linear::new(84, examples.outputs.width()), x)
}
