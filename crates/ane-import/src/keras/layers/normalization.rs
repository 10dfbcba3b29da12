//! `Normalization`: (x − mean) / √variance with numbers that were adapted to the data, or given.
//!
//! Adapted ones are weights that nothing trains; given ones are constants of the graph.

use super::{Entry, map};
use crate::keras::{
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
    settings::{Settings, wrong},
};
use ane_ir::Value;
use ane_train::model::{Init, Tags};

pub(super) static ALL: &[Entry] = &[Entry {
    constants: &["mean", "variance"],
    ..Entry::new("Normalization", normalization).weights(weights)
}];

/// Least standard deviation, `keras.config.epsilon()`.
const LEAST: f64 = 1e-7;

fn weights(settings: &Settings<'_>) -> Result<Vec<String>, KerasError> {
    let adapted = settings.get("mean").is_none();
    let names: &[&str] = match adapted {
        true => &["mean", "variance", "count"],
        false => &[],
    };
    Ok(names.iter().map(|&n| n.to_owned()).collect())
}

fn normalization(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    map(run, arguments, |run, x| {
        let settings = &layer.settings;
        let dims = run.dims(x);
        let mut kept = Vec::new();
        for axis in settings.integers("axis")?.unwrap_or_default() {
            kept.push(run.keras_axis(x, axis)?);
        }
        kept.sort_unstable();
        kept.dedup();
        if kept.first() == Some(&0) {
            return Err(wrong("axis", "axes after the batch", 0));
        }
        let shape: Vec<usize> = kept.iter().map(|&a| dims[a]).collect();
        let mut broad = vec![1; dims.len()];
        kept.iter().for_each(|&a| broad[a] = dims[a]);

        let x = run.plain(x)?;
        let [mean, deviation] = match settings.numbers("mean")? {
            Some(mean) => given(run, settings, mean, &broad)?,
            None => adapted(run, layer, &shape, &broad)?,
        };
        let g = run.cx.graph();
        let y = if settings.flag("invert", false)? {
            let y = g.mul(x, deviation)?;
            g.add(y, mean)?
        } else {
            let y = g.sub(x, mean)?;
            g.real_div(y, deviation)?
        };
        Ok(Tensor::plain(y))
    })
}

/// Mean and deviation of the configuration.
fn given(
    run: &mut Run<'_>,
    settings: &Settings<'_>,
    mean: Vec<f64>,
    broad: &[usize],
) -> Result<[Value; 2], KerasError> {
    let deviation: Vec<f64> = settings
        .numbers("variance")?
        .unwrap_or_default()
        .iter()
        .map(|v| v.max(0.0).sqrt().max(LEAST))
        .collect();
    let elements = broad.iter().product::<usize>();
    let mut constant = |key, all: Vec<f64>| match all.len() {
        1 => Ok(run.cx.scalar(all[0])?),
        n if n == elements => run.constant(broad, &all),
        n => Err(wrong(key, format!("1 number or {elements}"), n)),
    };
    Ok([constant("mean", mean)?, constant("variance", deviation)?])
}

/// Mean and deviation of the weights.
fn adapted(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    shape: &[usize],
    broad: &[usize],
) -> Result<[Value; 2], KerasError> {
    let tags = Tags::NORM;
    let mean = run.weight(layer, "mean", shape, Init::Constant(0.0), tags)?;
    let variance = run.weight(layer, "variance", shape, Init::Constant(1.0), tags)?;
    let deviation = run.cx.graph().sqrt(variance)?;
    let least = run.cx.scalar(LEAST)?;
    let deviation = run.cx.graph().maximum(deviation, least)?;
    Ok([run.reshape(mean, broad)?, run.reshape(deviation, broad)?])
}
