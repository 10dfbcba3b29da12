//! `MultiHeadAttention` over one axis of [B, T, D].

use super::{
    Entry,
    dropout::{dropped, rate},
    glorot,
};
use crate::keras::{
    activation::times,
    arguments::{Argument, Arguments},
    error::KerasError,
    run::{Layer, Run, Tensor, fits},
    settings::{Settings, wrong},
};
use ane_ir::Value;
use ane_train::model::{Init, Tags};
use serde_json::Value as Json;

pub(super) static ALL: &[Entry] = &[Entry::new("MultiHeadAttention", attention).weights(weights)];

/// What is added to the score of a key that comes after its query: its exponential is 0 in fp16 and in fp32.
const NEVER: f64 = -16_384.0;

fn weights(settings: &Settings<'_>) -> Result<Vec<String>, KerasError> {
    let bias = settings.flag("use_bias", true)?;
    let mut names = Vec::new();
    for layer in ["query", "key", "value", "attention_output"] {
        names.push(format!("{layer}.kernel"));
        names.extend(bias.then(|| format!("{layer}.bias")));
    }
    Ok(names)
}

fn attention(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    arguments: &Arguments<Tensor>,
) -> Result<Vec<Tensor>, KerasError> {
    arguments.refuse_named(&["query", "value", "key", "use_causal_mask"])?;
    refuse(&layer.settings)?;
    let tensor = |position, name: &str| match arguments.get(position, name) {
        Some(Argument::Tensor(x)) => Ok(Some(*x)),
        None => Ok(None),
        Some(_) => Err(KerasError::input("tensors", format!("another `{name}`"))),
    };
    let missing = |name: &str| KerasError::input("a query and a value", format!("no {name}"));
    let query = tensor(0, "query")?.ok_or_else(|| missing("query"))?;
    let value = tensor(1, "value")?.ok_or_else(|| missing("value"))?;
    let key = tensor(2, "key")?.unwrap_or(value);
    if arguments.positional.len() > 3 {
        let help = "call the layer with query, value and key";
        return Err(KerasError::unsupported("a mask", help));
    }
    let causal = match arguments.get(usize::MAX, "use_causal_mask") {
        None | Some(Argument::Json(Json::Bool(false))) => false,
        Some(Argument::Json(Json::Bool(true))) => true,
        Some(_) => return Err(wrong("use_causal_mask", "true or false", "a tensor")),
    };

    let heads = layer.settings.size("num_heads")?;
    let width = layer.settings.size("key_dim")?;
    let value_width = layer.settings.size_or("value_dim", width)?;
    let q = projected(run, layer, "query", query, [heads, width])?;
    let k = projected(run, layer, "key", key, [heads, width])?;
    let v = projected(run, layer, "value", value, [heads, value_width])?;

    let q = times(run, q, 1.0 / (width as f64).sqrt())?;
    let (t, s) = (run.cx.shape(q).dims()[2], run.cx.shape(k).dims()[2]);
    let batch = run.cx.batch();
    fits(&[batch, heads, t, s], "the attention scores")?;
    let mut scores = run.cx.graph().matmul(q, k, false, true)?;
    if causal {
        fits(&[t, s, 1 << 8], "the causal mask")?;
        let later = |i: usize| if i % s > i / s { NEVER } else { 0.0 };
        let mask: Vec<f64> = (0..t * s).map(later).collect();
        let mask = run.constant(&[1, 1, t, s], &mask)?;
        scores = run.cx.graph().add(scores, mask)?;
    }
    let scores = run.cx.graph().softmax(scores, 3)?;
    let rate = rate(layer, "dropout")?;
    let scores = dropped(run, layer, scores, &[batch, heads, t, s], rate)?;
    let mixed = run.cx.graph().matmul(scores, v, false, false)?;
    let mixed = run.transpose(mixed, &[0, 2, 1, 3])?;

    let inputs = heads * value_width;
    let mixed = run.reshape(mixed, &[batch, t, inputs])?;
    let outputs = match layer.settings.get("output_shape") {
        None => run.dims(query)[2],
        Some(_) => match layer.settings.sizes("output_shape", 1, 1)?.as_deref() {
            Some([outputs]) => *outputs,
            _ => return Err(wrong("output_shape", "one number", "several")),
        },
    };
    let kernel = run.weight(
        layer,
        "attention_output.kernel",
        &[heads, value_width, outputs],
        glorot(inputs, outputs),
        Tags::default(),
    )?;
    let kernel = run.reshape(kernel, &[inputs, outputs])?;
    let y = run.cx.graph().matmul(mixed, kernel, false, false)?;
    let y = biased(run, layer, "attention_output.bias", y, &[outputs])?;
    Ok(vec![Tensor::plain(y)])
}

/// x [B, T, D] as [B, heads, T, width].
fn projected(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    name: &str,
    x: Tensor,
    [heads, width]: [usize; 2],
) -> Result<Value, KerasError> {
    let dims = run.dims(x);
    let [batch, length, inputs] = *dims else {
        let found = format!("{name} {dims:?}");
        return Err(KerasError::input("tensors [B, T, D]", found));
    };
    let x = run.plain(x)?;
    let outputs = heads * width;
    let init = glorot(inputs, outputs);
    let path = format!("{name}.kernel");
    let kernel = run.weight(layer, &path, &[inputs, heads, width], init, Tags::default())?;
    let kernel = run.reshape(kernel, &[inputs, outputs])?;
    let y = run.cx.graph().matmul(x, kernel, false, false)?;
    let y = biased(run, layer, &format!("{name}.bias"), y, &[heads, width])?;
    let y = run.reshape(y, &[batch, length, heads, width])?;
    run.transpose(y, &[0, 2, 1, 3])
}

/// y plus a bias of this shape along the last axis, if the layer has one.
fn biased(
    run: &mut Run<'_>,
    layer: &Layer<'_>,
    name: &str,
    y: Value,
    shape: &[usize],
) -> Result<Value, KerasError> {
    if !layer.has(name) {
        return Ok(y);
    }
    let bias = run.weight(layer, name, shape, Init::Constant(0.0), Tags::BIAS)?;
    let bias = run.reshape(bias, &[shape.iter().product()])?;
    Ok(run.cx.graph().add(y, bias)?)
}

fn refuse(settings: &Settings<'_>) -> Result<(), KerasError> {
    if settings.flag("use_gate", false)? {
        let help = "set it to false";
        return Err(KerasError::unsupported("`use_gate` true", help));
    }
    if settings.get("sliding_window").is_some() {
        let help = "leave it out";
        return Err(KerasError::unsupported("`sliding_window`", help));
    }
    match settings.integers("attention_axes")?.as_deref() {
        None | Some([1 | -2]) => Ok(()),
        Some(axes) => {
            let help = "attend over the axis after the batch";
            Err(KerasError::unsupported(
                format!("`attention_axes` {axes:?}"),
                help,
            ))
        }
    }
}
