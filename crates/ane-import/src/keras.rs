//! Keras's configurations as models.
//!
//! [`import`] takes `config.json` of a `.keras` archive, or what `model.to_json()` gives, and a batch size. Sequential
//! and functional models of Keras 3 are read, nested as deep as anybody writes them; a layer that is called twice
//! shares its parameters.
//!
//! **Parameters keep Keras's shapes.** They are named by their index in `model.weights` and their path, such as
//! `0.dense.kernel`, so that weights go in and out without being laid out anew. Kernels of convolutions, which Keras
//! has as `HWIO`, are transposed in the graph.
//!
//! **Images are kept with their channels first.** Keras's images are `[B, H, W, C]`, and so are the model's inputs and
//! outputs. Convolutions and pools want `[B, C, H, W]`; the first of them transposes, what follows computes where the
//! channels lie, and the first layer that cares about the order of elements, such as `Flatten`, `Reshape` or `Dense`,
//! transposes back. `run/layout.rs` knows of every tensor which of the two it is.
//!
//! **The last activation may be taken off.** A loss on probabilities becomes a loss on logits: with
//! [`Options::logits`] the outputs are what a final softmax or sigmoid would be given, and [`Output::head`] says which
//! that was.
//!
//! What `model.compile` was given is read by [`compile`]. [`Classifier`] is a model for the images of a data set.
//!
//! Where a layer of Keras is found: the list is in `layers.rs`, each family in a file of its own; what `x * 2.0` and
//! `keras.ops` leave in a functional model is in `ops.rs`.

mod activation;
mod arguments;
mod classifier;
pub mod compile;
mod error;
mod layers;
mod network;
mod ops;
mod run;
mod settings;
mod weights;

pub use classifier::Classifier;
pub use error::{KerasError, Place};
pub use weights::Values;

use ane_ir::{DType, Shape};
use ane_train::model::{Input, Model, ModelError, Outputs};
use network::{Network, Reader};
use run::Run;
use std::{cell::RefCell, collections::HashSet};

/// Longest configuration that is read, in bytes.
pub const LONGEST: usize = 16 << 20;
/// What the input of examples is called.
const EXAMPLES: &str = "x";

/// How a model is imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Rows of a batch.
    pub batch: usize,
    /// The type of real numbers.
    pub dtype: DType,
    /// Whether a softmax or sigmoid at the end is left out.
    pub logits: bool,
    /// Shapes of one example of each input, for models that were never built; they win over the configuration's.
    pub input_shapes: Option<Vec<Vec<usize>>>,
    /// Shape of the examples that the only input is made of; the model's own input is `x` with these axes then. Images
    /// [C, H, W] are taken with their channels first, last or not at all, or all their values in a row.
    pub examples: Option<Shape>,
}

impl Options {
    /// Everything as the configuration says, in fp16.
    pub fn new(batch: usize) -> Self {
        Self {
            batch,
            dtype: DType::Fp16,
            logits: false,
            input_shapes: None,
            examples: None,
        }
    }
}

/// An activation that stood at the end of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Softmax over the last axis.
    Softmax,
    /// The logistic function.
    Sigmoid,
}

/// An output of an imported model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name in the model: `output` where there is one, else the key or the layer that Keras knows it by.
    pub name: String,
    /// The activation that was taken off, where [`Options::logits`] asked for that.
    pub head: Option<Head>,
}

/// What a tensor of `model.weights` is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A parameter.
    Parameter,
    /// A buffer: running statistics.
    Buffer,
    /// Nothing that is computed with, such as the counter of `Normalization`.
    Unused,
}

/// A tensor of Keras's `model.weights`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Its path in the model: the position in `model.weights`, the layers and its own name.
    pub path: String,
    /// Its shape, the same on both sides; empty for what is not computed with.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: Role,
}

/// An imported model.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// Keras's `model.weights`, in that order.
    pub weights: Vec<Weight>,
    /// The outputs, in the order of the model's.
    pub outputs: Vec<Output>,
}

/// Classes of all layers that are implemented.
pub fn classes() -> impl Iterator<Item = &'static str> {
    layers::classes()
}

/// Reads a configuration.
///
/// # Errors
/// When it is none, when it asks for what is not implemented, or when its layers do not fit each other; the error names
/// the layer.
pub fn import(config: &[u8], options: &Options) -> Result<Imported, KerasError> {
    if config.len() > LONGEST {
        return Err(KerasError::TooLong {
            found: config.len(),
            most: LONGEST,
        });
    }
    let json = serde_json::from_slice(config).map_err(|e| KerasError::Json {
        message: e.to_string(),
    })?;
    let network = Reader::default().model(&json, options)?;
    let own = inputs(&network, options)?;
    let inputs = match &options.examples {
        None => own.clone(),
        Some(shape) => vec![Input::new(EXAMPLES, options.dtype, shape.clone())],
    };
    // What a run has found out beside the graph, and why it has failed: the builder of models knows neither.
    let found = RefCell::new(Ok((Vec::new(), Vec::new())));
    let model = Model::build_in(
        options.dtype,
        &network.name,
        options.batch,
        &inputs,
        |cx, x| {
            let mut run = Run::new(cx, options, network.weight_names());
            match run.model(&network, &own, x) {
                Ok(outputs) => {
                    let (values, outputs): (Vec<_>, Vec<_>) = outputs
                        .into_iter()
                        .map(|(o, value)| ((o.name.clone(), value), o))
                        .unzip();
                    *found.borrow_mut() = Ok((run.weights(), outputs));
                    Ok(Outputs(values))
                }
                Err(error) => {
                    *found.borrow_mut() = Err(error);
                    Err(ModelError::NoOutputs)
                }
            }
        },
    );
    let (weights, outputs) = found.into_inner()?;
    let mut model = model?;
    let frozen: HashSet<&str> = network
        .frozen()
        .into_iter()
        .zip(&weights)
        .filter(|(frozen, _)| *frozen)
        .map(|(_, weight): (_, &Weight)| weight.path.as_str())
        .collect();
    for p in &mut model.parameters {
        p.trainable = !frozen.contains(p.path.as_str());
    }
    Ok(Imported {
        model,
        weights,
        outputs,
    })
}

/// The inputs of the model, without the batch.
fn inputs(network: &Network, options: &Options) -> Result<Vec<Input>, KerasError> {
    network
        .inputs()?
        .into_iter()
        .enumerate()
        .map(|(i, (name, place, input))| {
            let given = options.input_shapes.as_ref().and_then(|s| s.get(i));
            let shape = match given {
                Some(shape) => shape.clone(),
                None => input.example(&place, options.batch)?,
            };
            let mut all = vec![options.batch];
            all.extend(&shape);
            run::fits(&all, "the input")?;
            let name = ane_train::model::identifier(name);
            Ok(Input::new(&name, input.dtype, shape.as_slice()))
        })
        .collect()
}
