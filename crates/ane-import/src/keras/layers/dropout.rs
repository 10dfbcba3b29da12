//! `Dropout` and `SpatialDropout1D/2D`: in training, elements or whole channels become 0 by chance.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
    settings::wrong,
};
use ane_ir::Value;
use ane_train::model::Mode;

pub(super) static ALL: &[Entry] = &[
    Entry::new("Dropout", dropout),
    Entry::new("SpatialDropout1D", spatial_dropout),
    Entry::new("SpatialDropout2D", spatial_dropout),
];

fn dropout(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        if layer.settings.get("noise_shape").is_some() {
            let help = "use SpatialDropout1D or SpatialDropout2D";
            return Err(KerasError::unsupported("`noise_shape`", help));
        }
        let rate = rate(layer, "rate")?;
        let mask = run.cx.shape(x.value).dims().to_vec();
        let value = dropped(run, layer, x.value, &mask, rate)?;
        Ok(Tensor { value, ..x })
    })
}

fn spatial_dropout(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let rate = rate(layer, "rate")?;
        let dims = run.dims(x);
        if dims.len() != layer.axes() + 2 {
            let expected = format!("x with {} axes", layer.axes() + 2);
            return Err(KerasError::input(expected, format!("{dims:?}")));
        }
        let channels = match layer.channels_first()? {
            true => run.axis(x, 1)?,
            false => run.axis(x, -1)?,
        };
        let mut mask = vec![1; dims.len()];
        let shape = run.cx.shape(x.value).dims();
        (mask[0], mask[channels]) = (shape[0], shape[channels]);
        let value = dropped(run, layer, x.value, &mask, rate)?;
        Ok(Tensor { value, ..x })
    })
}

/// The probability of an element to become 0.
pub(super) fn rate(layer: &Layer<'_>, key: &str) -> Result<f64, KerasError> {
    let rate = layer.settings.number(key, 0.0)?;
    if (0.0..1.0).contains(&rate) {
        return Ok(rate);
    }
    Err(wrong(key, "at least 0 and less than 1", rate))
}

/// x with elements dropped in training, by a mask of this shape.
pub(super) fn dropped(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    x: Value,
    mask: &[usize],
    rate: f64,
) -> Result<Value, KerasError> {
    if rate == 0.0 || run.cx.mode() == Mode::Infer {
        return Ok(x);
    }
    // What is drawn is known by the layer's path, also where the layer is called twice.
    let mask = run
        .cx
        .scope(layer.path(), |cx| cx.keep_mask(mask, 1.0 - rate))?;
    Ok(run.cx.graph().mul(x, mask)?)
}
