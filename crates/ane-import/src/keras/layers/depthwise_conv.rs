//! `DepthwiseConv1D/2D`, each channel with kernels of its own, and `SeparableConv1D/2D`, a product over channels after
//! that.

use super::{
    Entry, activated, glorot, map, named,
    window::{self, Windows},
};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, int, ints},
};
use ane_ir::{
    Value,
    ops::{conv::Conv, support::window::PadType},
};
use ane_train::model::Tags;

pub(super) static ALL: &[Entry] = &[
    Entry::new("DepthwiseConv1D", depthwise_conv).weights(|s| named(&["kernel"], s)),
    Entry::new("DepthwiseConv2D", depthwise_conv).weights(|s| named(&["kernel"], s)),
    Entry::new("SeparableConv1D", separable_conv).weights(separable_weights),
    Entry::new("SeparableConv2D", separable_conv).weights(separable_weights),
];

fn separable_weights(
    settings: &crate::keras::settings::Settings<'_>,
) -> Result<Vec<String>, KerasError> {
    named(&["depthwise_kernel", "pointwise_kernel"], settings)
}

fn depthwise_conv(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let x = run.enter(x, layer)?;
        let y = depthwise(run, layer, x, "kernel", true)?;
        let y = run.leave(y, layer)?;
        activated(run, layer, y)
    })
}

fn separable_conv(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let filters = layer.settings.size("filters")?;
        let x = run.enter(x, layer)?;
        let depthwise = depthwise(run, layer, x, "depthwise_kernel", false)?;
        let inputs = run.cx.shape(depthwise).dims()[1];
        let mut shape = vec![1; layer.axes()];
        shape.extend([inputs, filters]);
        let init = glorot(inputs, filters);
        let kernel = run.weight(layer, "pointwise_kernel", &shape, init, Tags::default())?;
        let bias = window::bias(run, layer, filters)?;
        let kernel = window::turned(run, kernel, layer.axes())?;
        let y = run
            .cx
            .graph()
            .conv(depthwise, kernel, bias, Conv::default())?;
        let y = run.leave(y, layer)?;
        activated(run, layer, y)
    })
}

/// The convolution of every channel of an image by itself: channel c·m + j of the result is of channel c.
fn depthwise(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    x: Value,
    name: &str,
    with_bias: bool,
) -> Result<Value, KerasError> {
    let windows = Windows::read(layer, "kernel_size")?;
    let multiplier = layer.settings.size_or("depth_multiplier", 1)?;
    let image = run.cx.shape(x).dims().to_vec();
    let pad = windows.pad(&image)?;
    let channels = image[1];
    let mut shape = windows.kernel.clone();
    shape.extend([channels, multiplier]);
    let area = windows
        .kernel
        .iter()
        .fold(1_usize, |n, &k| n.saturating_mul(k));
    let init = glorot(
        area.saturating_mul(channels),
        area.saturating_mul(multiplier),
    );
    let kernel = run.weight(layer, name, &shape, init, Tags::default())?;
    let bias = match with_bias {
        true => window::bias(run, layer, channels * multiplier)?,
        false => None,
    };
    // [*K, C, m] → [C·m, 1, *K].
    let axes = layer.axes();
    let mut order = vec![int(axes), int(axes + 1)];
    order.extend((0..axes).map(int));
    let kernel = run.transpose(kernel, &order)?;
    let mut flat = vec![channels * multiplier, 1];
    flat.extend(&windows.kernel);
    let kernel = run.reshape(kernel, &flat)?;
    let op = Conv {
        strides: Some(ints(&windows.strides)),
        pad_type: PadType::Custom,
        pad: Some(pad),
        dilations: Some(ints(&windows.dilations)),
        groups: int(channels),
    };
    Ok(run.cx.graph().conv(x, kernel, bias, op)?)
}
