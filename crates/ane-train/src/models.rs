//! Models by name, one file each.
//!
//! A name and a data set make a model: the data set says what an example is and how many classes there are. A new
//! model is a file and its two lines here. One of your own needs neither, see [`Model::build`].

mod autoencoder;
pub mod decoder;
mod gpt2;
mod imported;
mod layer_list;
mod lenet;
mod llama;
mod mlp;
mod mobilenet_tiny;
mod recipe;
mod resnet;
mod vit;

pub use decoder::Decoder;
pub use gpt2::Gpt2;
pub use imported::{Imported, ModelSource, is_model_file};
pub use layer_list::{LayerList, LayerSpec, NamedLayer, Sizes};
pub use llama::Llama;
pub use mlp::{Mlp, ParseSpecError};
pub use recipe::Recipe;

use crate::model::{Builder, Input, Model, ModelError};
use ane_ir::{DType, Shape, Value};
use std::{fmt, str::FromStr};

/// What a named model is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    /// Shape of an example: channels, rows and columns of an image, the features of a row, the positions of a sequence.
    pub shape: Shape,
    /// What is to be said of it.
    pub outputs: Outputs,
}

/// What a model is to say of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Which of so many classes it is of.
    Classes(usize),
    /// So many numbers.
    Values(usize),
    /// At every position, which of so many tokens is next.
    Tokens(usize),
}

impl Outputs {
    /// Name of the model's output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classes(_) => "logits",
            Self::Values(_) => "values",
            Self::Tokens(_) => decoder::LOGITS,
        }
    }

    /// Values in a row of the model's output.
    pub fn width(self) -> usize {
        match self {
            Self::Classes(n) | Self::Values(n) | Self::Tokens(n) => n,
        }
    }
}

impl fmt::Display for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes(n) => write!(f, "{n} classes"),
            Self::Values(1) => f.write_str("1 value"),
            Self::Values(n) => write!(f, "{n} values"),
            Self::Tokens(n) => write!(f, "{n} tokens"),
        }
    }
}

impl Examples {
    /// Images [channels, rows, columns] of so many classes.
    pub fn images(shape: [usize; 3], classes: usize) -> Self {
        Self {
            shape: shape.into(),
            outputs: Outputs::Classes(classes),
        }
    }

    /// Values in one example.
    pub fn values(&self) -> usize {
        self.shape.numel()
    }

    /// Channels, rows and columns, where an example has these axes.
    pub fn image(&self) -> Option<[usize; 3]> {
        self.shape.dims().try_into().ok()
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Its output `logits` [B, classes] scores the classes.
    Classification,
    /// Its output `values` [B, values] is numbers.
    Regression,
    /// Its output `reconstruction` has the shape of its input, which is its target.
    Reconstruction,
    /// Its output `logits` [B, T, tokens] scores the token after each.
    Language,
}

/// A model with a name.
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Whether its target is its input.
    reconstructs: bool,
    /// Whether its input is [B, values] instead of [B, channels, rows, columns].
    flat: bool,
    /// What it computes.
    network: Network,
}

/// What a model with a name computes.
enum Network {
    /// A value of a value.
    Layers(fn(&mut Builder, Value, &Examples) -> Result<Value, ModelError>),
    /// The token after each token, and how that is learned.
    Decoder(fn(&Examples) -> Box<dyn Decoder>, Recipe),
}

impl Entry {
    /// A language model.
    const fn decoder(
        name: &'static str,
        about: &'static str,
        decoder: fn(&Examples) -> Box<dyn Decoder>,
        recipe: Recipe,
    ) -> Self {
        Self {
            name,
            about,
            reconstructs: false,
            flat: false,
            network: Network::Decoder(decoder, recipe),
        }
    }
}

/// Every model that has a name, the default first.
pub const ALL: [&Entry; 10] = [
    &mlp::MLP,
    &lenet::LENET,
    &resnet::RESNET8,
    &resnet::RESNET20,
    &mobilenet_tiny::MOBILENET_TINY,
    &autoencoder::AUTOENCODER,
    &vit::VIT_TINY,
    &gpt2::CHAR_GPT,
    &llama::LLAMA_15M,
    &llama::LLAMA_110M,
];

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A model as it is asked for: by name, or as the widths of an MLP.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelSpec {
    /// One of [`ALL`].
    Named(&'static Entry),
    /// Widths and activation, such as `784-128-10:gelu`.
    Mlp(Mlp),
    /// A model of another framework.
    Imported(Imported),
}

impl FromStr for ModelSpec {
    type Err = ParseSpecError;

    fn from_str(spec: &str) -> Result<Self, ParseSpecError> {
        match ALL.iter().find(|entry| entry.name == spec) {
            Some(entry) => Ok(Self::Named(entry)),
            None => spec.parse().map(Self::Mlp),
        }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(entry) => f.write_str(entry.name),
            Self::Mlp(mlp) => mlp.fmt(f),
            Self::Imported(imported) => f.write_str(imported.name()),
        }
    }
}

impl ModelSpec {
    /// What the model is for, with such examples.
    pub fn task(&self, examples: &Examples) -> Task {
        match (self, examples.outputs) {
            (Self::Named(entry), _) if entry.reconstructs => Task::Reconstruction,
            (_, Outputs::Classes(_)) => Task::Classification,
            (_, Outputs::Values(_)) => Task::Regression,
            (_, Outputs::Tokens(_)) => Task::Language,
        }
    }

    /// The language model for sequences of tokens, if it is one.
    pub fn decoder(&self, examples: &Examples) -> Option<Box<dyn Decoder>> {
        match self {
            Self::Named(Entry {
                network: Network::Decoder(make, _),
                ..
            }) => Some(make(examples)),
            Self::Named(_) | Self::Mlp(_) | Self::Imported(_) => None,
        }
    }

    /// How it is trained, if it is a language model.
    pub fn recipe(&self) -> Option<Recipe> {
        match self {
            Self::Named(Entry {
                network: Network::Decoder(_, recipe),
                ..
            }) => Some(*recipe),
            Self::Named(_) | Self::Mlp(_) | Self::Imported(_) => None,
        }
    }

    /// The same model with what the examples decide written out: `mlp` becomes its widths.
    #[must_use]
    pub fn of(self, examples: &Examples) -> Self {
        match self {
            Self::Named(entry) if *entry == mlp::MLP => Self::Mlp(Mlp::of(examples)),
            other => other,
        }
    }

    /// The model for examples of a data set: input `x`, output as its [`Task`] says.
    ///
    /// # Errors
    /// When the examples are too small for its layers, no images where it wants them, or not what the widths of an MLP say.
    pub fn build(&self, batch: usize, examples: &Examples) -> Result<Model, ModelError> {
        self.build_in(DType::Fp16, batch, examples)
    }

    /// [`ModelSpec::build`] with another type for all real numbers.
    ///
    /// # Errors
    /// As [`ModelSpec::build`].
    pub fn build_in(
        &self,
        dtype: DType,
        batch: usize,
        examples: &Examples,
    ) -> Result<Model, ModelError> {
        if let Some(decoder) = self.decoder(examples) {
            return match examples.outputs {
                Outputs::Tokens(_) => {
                    let name = self.to_string();
                    decoder::model_of(&*decoder, dtype, &name, batch, examples.values())
                }
                other => Err(ModelError::NoTokens {
                    model: self.to_string(),
                    found: other.to_string(),
                }),
            };
        }
        let shape: Shape = match self {
            Self::Named(entry) if entry.flat => [examples.values()].into(),
            Self::Named(entry) => match examples.image() {
                Some(image) => image.into(),
                None => {
                    return Err(ModelError::NoImages {
                        model: entry.name.to_owned(),
                        shape: examples.shape.clone(),
                    });
                }
            },
            Self::Mlp(mlp) => {
                mlp.fits(examples)?;
                [examples.values()].into()
            }
            Self::Imported(imported) => return imported.build(dtype, batch, examples),
        };
        let output = match self.task(examples) {
            Task::Reconstruction => "reconstruction",
            Task::Classification | Task::Regression | Task::Language => examples.outputs.name(),
        };
        let inputs = [Input::fp16("x", shape)];
        Model::build_in(dtype, &self.to_string(), batch, &inputs, |cx, x| {
            let y = match self {
                Self::Named(entry) => match entry.network {
                    Network::Layers(forward) => forward(cx, x[0], examples)?,
                    Network::Decoder(..) => unreachable!("it was built above"),
                },
                Self::Mlp(mlp) => mlp.forward(cx, x[0])?,
                Self::Imported(_) => unreachable!("it has built itself above"),
            };
            Ok([(output, y)])
        })
    }
}

#[cfg(test)]
mod tests;
