//! `GlobalMaxPooling1D/2D` and `GlobalAveragePooling1D/2D`: every channel as one number.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, int},
};

pub(super) static ALL: &[Entry] = &[
    Entry::new("GlobalMaxPooling1D", global_pooling),
    Entry::new("GlobalMaxPooling2D", global_pooling),
    Entry::new("GlobalAveragePooling1D", global_pooling),
    Entry::new("GlobalAveragePooling2D", global_pooling),
];

fn global_pooling(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let keep = layer.settings.flag("keepdims", false)?;
        let n = layer.axes();
        let rank = run.dims(x).len();
        if rank != n + 2 {
            let expected = format!("x with {} axes, the batch among them", n + 2);
            return Err(KerasError::input(expected, format!("{:?}", run.dims(x))));
        }
        // Where the channels lie is the same to a sum over the others: x stays as it is.
        let from = match layer.channels_first()? {
            true => 2,
            false => 1,
        };
        let mut axes = Vec::new();
        for axis in from..from + n {
            axes.push(int(run.axis(x, axis as i64)?));
        }
        axes.sort_unstable();
        let g = run.cx.graph();
        let value = if layer.class().starts_with("GlobalMax") {
            g.reduce_max(x.value, &axes, keep)?
        } else {
            g.reduce_mean(x.value, &axes, keep)?
        };
        Ok(Tensor {
            value,
            channels_first: x.channels_first && keep,
        })
    })
}
