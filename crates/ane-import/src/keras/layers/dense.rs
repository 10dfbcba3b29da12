//! `Dense`: x · kernel + bias over the last axis.

use super::{Entry, activated, glorot, kernel_and_bias, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
};
use ane_train::model::{Init, Tags};

pub(super) static ALL: &[Entry] = &[Entry::new("Dense", dense).weights(kernel_and_bias)];

fn dense(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let units = layer.settings.size("units")?;
        let dims = run.dims(x);
        let [_, .., inputs] = *dims else {
            let found = format!("{dims:?}");
            return Err(KerasError::input("x with features after the batch", found));
        };
        let x = run.plain(x)?;
        let init = glorot(inputs, units);
        let kernel = run.weight(layer, "kernel", &[inputs, units], init, Tags::default())?;
        let mut y = run.cx.graph().matmul(x, kernel, false, false)?;
        if layer.has("bias") {
            let bias = run.weight(layer, "bias", &[units], Init::Constant(0.0), Tags::BIAS)?;
            y = run.cx.graph().add(y, bias)?;
        }
        activated(run, layer, Tensor::plain(y))
    })
}
