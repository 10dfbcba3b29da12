//! `Conv1DTranspose` and `Conv2DTranspose`: the gradient of a convolution with respect to its image.

use super::{
    Entry, activated, glorot, kernel_and_bias, map,
    window::{self, Windows},
};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, fits, int, ints},
    settings::wrong,
};
use ane_ir::ops::{conv_transpose::ConvTranspose, support::window::PadType};
use ane_train::model::Tags;

pub(super) static ALL: &[Entry] = &[
    Entry::new("Conv1DTranspose", conv_transpose).weights(kernel_and_bias),
    Entry::new("Conv2DTranspose", conv_transpose).weights(kernel_and_bias),
];

fn conv_transpose(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let n = layer.axes();
        let windows = Windows::read(layer, "kernel_size")?;
        let filters = layer.settings.size("filters")?;
        let added = layer.settings.sizes("output_padding", n, 0)?;
        let x = run.enter(x, layer)?;
        let image = run.cx.shape(x).dims().to_vec();
        let inputs = image[1];

        // The shape of the result is Keras's; what the windows reach beyond it is cut off, the odd element after.
        let (mut result, mut pad) = (vec![image[0], filters], Vec::new());
        for i in 0..n {
            let (length, stride) = (image[2 + i], windows.strides[i]);
            let extent = windows.extent(i)?;
            let reached = (length - 1) * stride + extent;
            let added = added.as_ref().map(|a| a[i]);
            let size = match (windows.same(), added) {
                (false, None) => (length - 1) * stride + extent.max(stride),
                (false, Some(added)) => reached + added,
                (true, None) => length * stride,
                (true, Some(added)) => (length - 1) * stride + extent % 2 + added,
            };
            let cut = match windows.same() {
                true => reached.saturating_sub(size),
                false => 0,
            };
            // As many windows as x has elements must fit, which says how much can be added.
            let windows_of = match windows.same() {
                true => size.div_ceil(stride),
                false => size.checked_sub(extent).map_or(0, |room| room / stride + 1),
            };
            if windows_of != length {
                let found = format!("{added:?}");
                return Err(wrong("output_padding", "less than the stride", found));
            }
            result.push(size);
            pad.extend([int(cut / 2), int(cut - cut / 2)]);
        }
        fits(&result, "the result")?;

        let mut shape = windows.kernel.clone();
        shape.extend([filters, inputs]);
        let area = windows
            .kernel
            .iter()
            .fold(1_usize, |n, &k| n.saturating_mul(k));
        let init = glorot(area.saturating_mul(filters), area.saturating_mul(inputs));
        let kernel = run.weight(layer, "kernel", &shape, init, Tags::default())?;
        let bias = window::bias(run, layer, filters)?;
        let kernel = window::turned(run, kernel, n)?;
        let op = ConvTranspose {
            pad: Some(pad),
            output_shape: Some(ints(&result)),
            pad_type: PadType::Custom,
            strides: Some(ints(&windows.strides)),
            dilations: Some(ints(&windows.dilations)),
            groups: 1,
        };
        let y = run.cx.graph().conv_transpose(x, kernel, bias, op)?;
        let y = run.leave(y, layer)?;
        activated(run, layer, y)
    })
}
