//! `Rescaling`: x · scale + offset.

use super::{Entry, map};
use crate::keras::{
    activation::{plus, times},
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
    settings::wrong,
};

pub(super) static ALL: &[Entry] = &[Entry::new("Rescaling", rescaling)];

fn rescaling(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let scale = layer
            .settings
            .numbers("scale")?
            .unwrap_or_else(|| vec![1.0]);
        let offset = layer
            .settings
            .numbers("offset")?
            .unwrap_or_else(|| vec![0.0]);
        if let ([scale], [offset]) = (scale.as_slice(), offset.as_slice()) {
            let value = times(run, x.value, *scale)?;
            let value = plus(run, value, *offset)?;
            return Ok(Tensor { value, ..x });
        }
        // Numbers along the last axis.
        let width = run.dims(x).last().copied().unwrap_or(1);
        let x = run.plain(x)?;
        let mut constant = |key, all: &[f64]| match all.len() {
            1 => Ok(run.cx.scalar(all[0])?),
            n if n == width => run.constant(&[width], all),
            n => Err(wrong(key, format!("1 number or {width}"), n)),
        };
        let (scale, offset) = (constant("scale", &scale)?, constant("offset", &offset)?);
        let y = run.cx.graph().mul(x, scale)?;
        Ok(Tensor::plain(run.cx.graph().add(y, offset)?))
    })
}
