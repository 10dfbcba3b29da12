//! `LayerNormalization`: axes of every example at mean 0 and variance 1, then gamma and beta.

use super::{
    Entry,
    batch_normalization::{affine, affine_weight},
    map,
};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor, ints},
};

pub(super) static ALL: &[Entry] =
    &[Entry::new("LayerNormalization", layer_normalization).weights(affine)];

fn layer_normalization(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        if layer.settings.flag("rms_scaling", false)? {
            let help = "set it to false";
            return Err(KerasError::unsupported("`rms_scaling` true", help));
        }
        let eps = layer.settings.number("epsilon", 1e-3)?;
        let dims = run.dims(x);
        let mut keras_axes = Vec::new();
        for axis in layer.settings.integers("axis")?.unwrap_or_else(|| vec![-1]) {
            keras_axes.push(run.keras_axis(x, axis)?);
        }
        if keras_axes.is_empty() || !keras_axes.is_sorted_by(|a, b| a < b) || keras_axes[0] == 0 {
            let help = "name axes after the batch, in order";
            return Err(KerasError::unsupported(
                format!("`axis` {keras_axes:?}"),
                help,
            ));
        }
        let shape: Vec<usize> = keras_axes.iter().map(|&a| dims[a]).collect();
        let gamma = affine_weight(run, layer, "gamma", &shape)?;
        let beta = affine_weight(run, layer, "beta", &shape)?;

        let last = keras_axes[0] + keras_axes.len() == dims.len();
        if last && !x.channels_first {
            let g = run.cx.graph();
            let value = g.layer_norm(x.value, gamma, beta, &ints(&keras_axes), eps)?;
            return Ok(Tensor::plain(value));
        }
        // Gamma and beta lie along the axes as Keras has them, and are brought to where x has them.
        let mut axes = Vec::new();
        for &axis in &keras_axes {
            axes.push(run.axis(x, axis as i64)?);
        }
        axes.sort_unstable();
        let mut value = run
            .cx
            .graph()
            .layer_norm(x.value, None, None, &ints(&axes), eps)?;
        let mut broad = vec![1; dims.len()];
        keras_axes.iter().for_each(|&a| broad[a] = dims[a]);
        for (weight, gamma) in [(gamma, true), (beta, false)] {
            let Some(weight) = weight else { continue };
            let weight = Tensor::plain(run.reshape(weight, &broad)?);
            let weight = match x.channels_first {
                true => run.first(weight)?,
                false => weight.value,
            };
            let g = run.cx.graph();
            value = match gamma {
                true => g.mul(value, weight)?,
                false => g.add(value, weight)?,
            };
        }
        Ok(Tensor { value, ..x })
    })
}
