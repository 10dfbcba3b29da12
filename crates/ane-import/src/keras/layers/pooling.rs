//! `MaxPooling1D/2D` and `AveragePooling1D/2D`.

use super::{Entry, map, window::Windows};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, ints},
};
use ane_ir::ops::{avg_pool::AvgPool, max_pool::MaxPool, support::window::PadType};

pub(super) static ALL: &[Entry] = &[
    Entry::new("MaxPooling1D", pooling),
    Entry::new("MaxPooling2D", pooling),
    Entry::new("AveragePooling1D", pooling),
    Entry::new("AveragePooling2D", pooling),
];

/// Padding is never the largest, and does not count in a mean.
fn pooling(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let mut windows = Windows::read(layer, "pool_size")?;
        if layer.settings.get("strides").is_none() {
            windows.strides.clone_from(&windows.kernel);
        }
        let x = run.enter(x, layer)?;
        let image = run.cx.shape(x).dims().to_vec();
        let pad = Some(windows.pad(&image)?);
        let kernel_sizes = ints(&windows.kernel);
        let strides = Some(ints(&windows.strides));
        let pad_type = PadType::Custom;
        let y = if layer.class().starts_with("Max") {
            let op = MaxPool {
                kernel_sizes,
                strides,
                pad_type,
                pad,
                ceil_mode: false,
            };
            run.cx.graph().max_pool(x, op)?
        } else {
            let op = AvgPool {
                kernel_sizes,
                strides,
                pad_type,
                pad,
                exclude_padding_from_average: true,
                ceil_mode: false,
            };
            run.cx.graph().avg_pool(x, op)?
        };
        run.leave(y, layer)
    })
}
