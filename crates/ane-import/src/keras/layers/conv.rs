//! `Conv1D` and `Conv2D`.

use super::{
    Entry, activated, glorot, kernel_and_bias, map,
    window::{self, Windows},
};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, int, ints},
};
use ane_ir::ops::{conv::Conv, support::window::PadType};
use ane_train::model::Tags;

pub(super) static ALL: &[Entry] = &[
    Entry::new("Conv1D", conv).weights(kernel_and_bias),
    Entry::new("Conv2D", conv).weights(kernel_and_bias),
];

fn conv(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let windows = Windows::read(layer, "kernel_size")?;
        let filters = layer.settings.size("filters")?;
        let groups = layer.settings.size_or("groups", 1)?;
        let x = run.enter(x, layer)?;
        let image = run.cx.shape(x).dims().to_vec();
        let inputs = image[1];
        if !inputs.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            let expected = format!("channels that its {groups} groups divide");
            return Err(KerasError::input(
                expected,
                format!("{inputs} channels in and {filters} out"),
            ));
        }
        let pad = windows.pad(&image)?;
        let mut shape = windows.kernel.clone();
        shape.extend([inputs / groups, filters]);
        let area = windows
            .kernel
            .iter()
            .fold(1_usize, |n, &k| n.saturating_mul(k));
        let init = glorot(
            area.saturating_mul(inputs / groups),
            area.saturating_mul(filters / groups),
        );
        let kernel = run.weight(layer, "kernel", &shape, init, Tags::default())?;
        let bias = window::bias(run, layer, filters)?;
        let kernel = window::turned(run, kernel, layer.axes())?;
        let op = Conv {
            strides: Some(ints(&windows.strides)),
            pad_type: PadType::Custom,
            pad: Some(pad),
            dilations: Some(ints(&windows.dilations)),
            groups: int(groups),
        };
        let y = run.cx.graph().conv(x, kernel, bias, op)?;
        let y = run.leave(y, layer)?;
        activated(run, layer, y)
    })
}
