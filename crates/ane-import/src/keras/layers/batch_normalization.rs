//! `BatchNormalization`: every channel at mean 0 and variance 1 over the batch, then gamma and beta.
//!
//! Keras's momentum is the share of the past, ours that of the batch; and Keras's running variance takes the batch's
//! as it is, where PyTorch's takes it times n/(n − 1). A layer with `trainable` false computes with its running
//! statistics in training as well and leaves them alone; they are parameters then that nothing trains.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
    settings::Settings,
};
use ane_ir::Value;
use ane_train::{
    model::{BufferForm, Init, Mode, StatisticKind, Tags},
    nn::{Rows, reciprocal_root},
};

pub(super) static ALL: &[Entry] =
    &[Entry::new("BatchNormalization", batch_normalization).weights(weights)];

fn weights(settings: &Settings<'_>) -> Result<Vec<String>, KerasError> {
    let mut names = affine(settings)?;
    names.extend(["moving_mean".to_owned(), "moving_variance".to_owned()]);
    Ok(names)
}

/// `gamma` and `beta`, as far as a normalisation has them.
pub(super) fn affine(settings: &Settings<'_>) -> Result<Vec<String>, KerasError> {
    let gamma = settings.flag("scale", true)?.then_some("gamma");
    let beta = settings.flag("center", true)?.then_some("beta");
    Ok(gamma.into_iter().chain(beta).map(str::to_owned).collect())
}

/// `gamma` or `beta` of a normalisation that has it.
pub(super) fn affine_weight(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Option<Value>, KerasError> {
    if !layer.has(name) {
        return Ok(None);
    }
    let (init, tags) = match name {
        "gamma" => (1.0, Tags::NORM),
        _ => (0.0, Tags::NORM_BIAS),
    };
    let weight = run.weight(layer, name, shape, Init::Constant(init), tags)?;
    Ok(Some(weight))
}

fn batch_normalization(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let settings = &layer.settings;
        let eps = settings.number("epsilon", 1e-3)?;
        let momentum = settings.number("momentum", 0.99)?;
        let axis = match settings.integers("axis")?.as_deref() {
            None => -1,
            Some([axis]) => *axis,
            Some(_) => {
                let help = "normalise over one axis";
                return Err(KerasError::unsupported("`axis` of several axes", help));
            }
        };
        let channels = run.axis(x, axis)?;
        if channels == 0 {
            return Err(KerasError::input("an axis after the batch", axis));
        }
        let shape = run.cx.shape(x.value).dims().to_vec();
        let features = [shape[channels]];
        let frozen = !settings.flag("trainable", true)?;
        let gamma = affine_weight(run, layer, "gamma", &features)?;
        let beta = affine_weight(run, layer, "beta", &features)?;

        let rank = shape.len();
        let value = if !frozen && run.cx.mode() == Mode::Train {
            let buffers = statistics(run, layer, &features)?;
            let rows = Rows::new(run.cx, rank)?;
            let mean = rows.mean(run.cx, x.value, channels)?;
            let distance = run.cx.graph().sub(x.value, mean)?;
            let square = run.cx.graph().mul(distance, distance)?;
            let variance = rows.mean(run.cx, square, channels)?;
            let count = shape[1..].iter().product::<usize>() / features[0];
            for (buffer, statistic) in buffers.into_iter().zip([mean, variance]) {
                let statistic = run.reshape(statistic, &features)?;
                // Both are followed as means are: without n/(n − 1).
                let kind = StatisticKind::Mean;
                run.cx
                    .update(buffer, statistic, kind, 1.0 - momentum, count);
            }
            let mut scale = reciprocal_root(run.cx.graph(), variance, eps)?;
            if let Some(gamma) = gamma {
                let gamma = run.along(gamma, channels, rank)?;
                scale = run.cx.graph().mul(scale, gamma)?;
            }
            let y = run.cx.graph().mul(distance, scale)?;
            plus(run, y, beta, channels, rank)?
        } else {
            let (mean, root) = if frozen {
                let zeros = Init::Constant(0.0);
                let mean = run.weight(layer, "moving_mean", &features, zeros, Tags::NORM)?;
                let ones = Init::Constant(1.0);
                let variance = run.weight(layer, "moving_variance", &features, ones, Tags::NORM)?;
                (mean, reciprocal_root(run.cx.graph(), variance, eps)?)
            } else {
                let [mean, variance] = statistics(run, layer, &features)?;
                let form = BufferForm::ReciprocalRoot { epsilon: eps };
                (
                    run.cx.read(mean, BufferForm::Plain)?,
                    run.cx.read(variance, form)?,
                )
            };
            let scale = match gamma {
                Some(gamma) => run.cx.graph().mul(root, gamma)?,
                None => root,
            };
            let moved = run.cx.graph().mul(mean, scale)?;
            let shift = match beta {
                Some(beta) => run.cx.graph().sub(beta, moved)?,
                None => crate::keras::activation::times(run, moved, -1.0)?,
            };
            let scale = run.along(scale, channels, rank)?;
            let y = run.cx.graph().mul(x.value, scale)?;
            plus(run, y, Some(shift), channels, rank)?
        };
        Ok(Tensor { value, ..x })
    })
}

/// The buffers of the running mean and variance.
fn statistics(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    features: &[usize],
) -> Result<[usize; 2], KerasError> {
    Ok([
        run.buffer(layer, "moving_mean", features, 0.0)?,
        run.buffer(layer, "moving_variance", features, 1.0)?,
    ])
}

/// y plus a vector along an axis.
pub(super) fn plus(
    run: &mut Run<'_>,
    y: Value,
    vector: Option<Value>,
    axis: usize,
    rank: usize,
) -> Result<Value, KerasError> {
    let Some(vector) = vector else {
        return Ok(y);
    };
    let vector = run.along(vector, axis, rank)?;
    Ok(run.cx.graph().add(y, vector)?)
}
