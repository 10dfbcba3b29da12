//! `GroupNormalization`: groups of channels of every example at mean 0 and variance 1, then gamma and beta.

use super::{
    Entry,
    batch_normalization::{affine, affine_weight, plus},
    map,
};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
};

pub(super) static ALL: &[Entry] =
    &[Entry::new("GroupNormalization", group_normalization).weights(affine)];

fn group_normalization(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let settings = &layer.settings;
        let eps = settings.number("epsilon", 1e-3)?;
        let dims = run.dims(x);
        let axis = settings.integers("axis")?.unwrap_or_else(|| vec![-1]);
        let axis = match axis.as_slice() {
            [axis] => run.keras_axis(x, *axis)?,
            _ => {
                return Err(crate::keras::settings::wrong(
                    "axis",
                    "one axis",
                    axis.len(),
                ));
            }
        };
        // The channels come first, where they are not so for Keras already.
        let (value, channels_first) = match axis {
            a if a > 0 && a + 1 == dims.len() => (run.first(x)?, true),
            1 => (run.plain(x)?, false),
            _ => {
                let help = "normalise over the last axis";
                return Err(KerasError::unsupported(format!("`axis` {axis}"), help));
            }
        };
        let shape = run.cx.shape(value).dims().to_vec();
        let channels = shape[1];
        // −1 is a group for every channel.
        let groups = match settings.integers("groups")?.as_deref() {
            Some([-1]) => channels,
            _ => settings.size_or("groups", 32)?,
        };
        if !channels.is_multiple_of(groups) {
            let expected = format!("channels that its {groups} groups divide");
            return Err(KerasError::input(expected, channels));
        }
        let rest = shape[1..].iter().product::<usize>() / groups;
        let grouped = run.reshape(value, &[shape[0], groups, rest])?;
        let normal = run.cx.graph().layer_norm(grouped, None, None, &[2], eps)?;
        let mut y = run.reshape(normal, &shape)?;
        let rank = shape.len();
        if let Some(gamma) = affine_weight(run, layer, "gamma", &[channels])? {
            let gamma = run.along(gamma, 1, rank)?;
            y = run.cx.graph().mul(y, gamma)?;
        }
        let beta = affine_weight(run, layer, "beta", &[channels])?;
        let value = plus(run, y, beta, 1, rank)?;
        Ok(Tensor {
            value,
            channels_first: channels_first && rank > 2,
        })
    })
}
