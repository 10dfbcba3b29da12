//! Activations as layers: `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Softmax`, `PReLU`.

use super::{Entry, map};
use crate::keras::{
    activation::Activation,
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
};
use ane_train::model::{Init, Tags};

pub(super) static ALL: &[Entry] = &[
    Entry::new("Activation", fixed),
    Entry::new("ReLU", fixed),
    Entry::new("LeakyReLU", fixed),
    Entry::new("ELU", fixed),
    Entry::new("Softmax", fixed),
    Entry::new("PReLU", prelu).weights(|_| Ok(vec!["alpha".to_owned()])),
];

fn fixed(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    let activation = Activation::layer(layer.class(), &layer.settings)?;
    let activation = activation.unwrap_or(Activation::Linear);
    map(run, arguments, |run, x| activation.last(run, layer, x))
}

/// x above 0, alpha·x below, with an alpha for every element of an example, or shared along axes.
fn prelu(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let dims = run.dims(x);
        let mut shape = dims[1..].to_vec();
        for axis in layer.settings.integers("shared_axes")?.unwrap_or_default() {
            let axis = run.keras_axis(x, axis)?;
            *axis
                .checked_sub(1)
                .and_then(|a| shape.get_mut(a))
                .ok_or_else(|| {
                    crate::keras::settings::wrong("shared_axes", "axes after the batch", axis)
                })? = 1;
        }
        let alpha = run.weight(layer, "alpha", &shape, Init::Constant(0.0), Tags::default())?;
        shape.insert(0, 1);
        let alpha = run.reshape(alpha, &shape)?;
        let (values, channels_first) = run.together(&[x, Tensor::plain(alpha)])?;
        let (x, alpha) = (values[0], values[1]);
        let above = run.cx.graph().relu(x)?;
        let below = run.cx.graph().sub(x, above)?;
        let below = run.cx.graph().mul(below, alpha)?;
        let value = run.cx.graph().add(above, below)?;
        Ok(Tensor {
            value,
            channels_first,
        })
    })
}
