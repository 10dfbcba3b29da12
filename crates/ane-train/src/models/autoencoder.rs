//! A convolutional autoencoder: two convolutions of stride 2 to 16 and 32 channels, and their transposes back.

use super::{Entry, Examples, Network};
use crate::{
    model::{Builder, ModelError},
    nn::{Activation::Relu, Conv2d, ConvTranspose2d},
};
use ane_ir::Value;

pub(super) static AUTOENCODER: Entry = Entry {
    name: "autoencoder",
    about: "convolutions of stride 2 to 16 and 32 channels, and transposed ones back",
    reconstructs: true,
    flat: false,
    network: Network::Layers(forward),
};

fn forward(cx: &mut Builder, x: Value, _: &Examples) -> Result<Value, ModelError> {
    let image = cx.shape(x).clone();
    let [channels, rows, columns] = [1, 2, 3].map(|axis| image.dims()[axis]);
    let conv = |inputs, outputs| Conv2d::new(inputs, outputs, 3).stride(2).padding(1);
    let x = cx.layer("encoder1", conv(channels, 16), x)?;
    let half = [cx.shape(x).dims()[2], cx.shape(x).dims()[3]];
    let x = cx.layer("relu1", Relu, x)?;
    let x = cx.layer("encoder2", conv(16, 32), x)?;
    let x = cx.layer("relu2", Relu, x)?;
    let x = cx.layer("decoder1", back(32, 16, half), x)?;
    let x = cx.layer("relu3", Relu, x)?;
    cx.layer("decoder2", back(16, channels, [rows, columns]), x)
}

/// The transpose of a convolution of stride 2 of an image of this size: an even length wants one element more.
fn back(inputs: usize, outputs: usize, image: [usize; 2]) -> ConvTranspose2d {
    ConvTranspose2d::new(inputs, outputs, 3)
        .stride(2)
        .padding(1)
        .output_padding(image.map(|length| usize::from(length.is_multiple_of(2))))
}
