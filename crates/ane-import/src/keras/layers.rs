//! The layers: one list, each family in a file of its own.

mod activations;
mod batch_normalization;
mod conv;
mod conv_transpose;
mod dense;
mod depthwise_conv;
mod dropout;
mod embedding;
mod global_pooling;
mod group_normalization;
mod layer_normalization;
mod merging;
mod multi_head_attention;
mod normalization;
mod padding;
mod pooling;
mod rescaling;
mod reshaping;
mod up_sampling;
mod window;

use super::{
    activation::Activation,
    arguments::Arguments,
    error::KerasError,
    run::{Layer, Run, Tensor},
    settings::Settings,
};
use ane_train::model::Init;
pub(super) use merging::joined;
pub(super) use reshaping::{reshaped, transposed};

/// What a layer is to the importer.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its class in `keras.layers`.
    class: &'static str,
    /// Names of its weights, in the order of Keras's `layer.weights`.
    pub(super) weights: fn(&Settings<'_>) -> Result<Vec<String>, KerasError>,
    /// Applies it.
    pub(super) apply: Apply,
    /// Weights that training does not change.
    pub(super) constants: &'static [&'static str],
    /// Whether it takes indices.
    pub(super) indices: bool,
}

/// Applies a layer to its arguments.
type Apply = fn(&mut Run<'_>, &Layer<'_>, &Arguments<Tensor>) -> Result<Vec<Tensor>, KerasError>;

impl Entry {
    /// A layer without weights.
    const fn new(class: &'static str, apply: Apply) -> Self {
        Self {
            class,
            weights: |_| Ok(Vec::new()),
            apply,
            constants: &[],
            indices: false,
        }
    }

    const fn weights(self, weights: fn(&Settings<'_>) -> Result<Vec<String>, KerasError>) -> Self {
        Self { weights, ..self }
    }
}

/// Every layer that is implemented.
static ALL: &[&[Entry]] = &[
    activations::ALL,
    batch_normalization::ALL,
    conv::ALL,
    conv_transpose::ALL,
    dense::ALL,
    depthwise_conv::ALL,
    dropout::ALL,
    embedding::ALL,
    global_pooling::ALL,
    group_normalization::ALL,
    layer_normalization::ALL,
    merging::ALL,
    multi_head_attention::ALL,
    normalization::ALL,
    padding::ALL,
    pooling::ALL,
    rescaling::ALL,
    reshaping::ALL,
    up_sampling::ALL,
];

/// Classes of all of them.
pub(super) fn classes() -> impl Iterator<Item = &'static str> {
    ALL.iter().copied().flatten().map(|entry| entry.class)
}

/// The layer of this class, which is Keras's own.
pub(super) fn find(module: &str, class: &str) -> Option<&'static Entry> {
    let own = module == "keras.layers" || module.starts_with("keras.src.layers.");
    let mut all = ALL.iter().copied().flatten();
    all.find(|entry| own && entry.class == class)
}

/// What to do about a layer that is not implemented.
pub(super) fn help(module: &str, class: &str) -> &'static str {
    match class {
        "Lambda" => {
            "a Lambda layer is Python that no configuration holds; write it with operations of keras.ops on the tensors of a functional model"
        }
        "LSTM" | "GRU" | "SimpleRNN" | "Bidirectional" | "RNN" => {
            "recurrent layers are not; use convolutions or attention instead"
        }
        "Masking" => "leave it out and weigh the examples instead",
        "TimeDistributed" => {
            "Dense takes any number of axes before the last; for others reshape around the layer"
        }
        _ if module.starts_with("keras.src.ops") => {
            "write the model with layers instead of this operation"
        }
        _ if module.starts_with("keras") => "use another layer, or train the model with Keras",
        _ => "a class of one's own is not in the configuration; use layers of Keras",
    }
}

/// The one tensor that a layer is called with, in a function that makes one of it.
fn map(
    run: &mut Run<'_>,
    arguments: &Arguments<Tensor>,
    f: impl FnOnce(&mut Run<'_>, Tensor) -> Result<Tensor, KerasError>,
) -> Result<Vec<Tensor>, KerasError> {
    let x = arguments.one()?;
    Ok(vec![f(run, x)?])
}

/// `kernel`, and `bias` where `use_bias` says so.
fn kernel_and_bias(settings: &Settings<'_>) -> Result<Vec<String>, KerasError> {
    named(&["kernel"], settings)
}

/// These weights, and `bias` where `use_bias` says so.
fn named(weights: &[&str], settings: &Settings<'_>) -> Result<Vec<String>, KerasError> {
    let bias = settings.flag("use_bias", true)?.then_some("bias");
    let all = weights.iter().copied().chain(bias);
    Ok(all.map(str::to_owned).collect())
}

/// The setting `activation` of a layer, after everything else that it does.
fn activated(run: &mut Run<'_>, layer: &Layer<'_>, x: Tensor) -> Result<Tensor, KerasError> {
    match layer.settings.get("activation") {
        None => Ok(x),
        Some(json) => Activation::read(json)?.last(run, layer, x),
    }
}

/// Keras's default initial values of kernels, uniform in ±√(6 / (fan in + fan out)). A model's own weights take their
/// place.
fn glorot(fan_in: usize, fan_out: usize) -> Init {
    Init::Uniform((6.0 / (fan_in + fan_out).max(1) as f64).sqrt())
}
