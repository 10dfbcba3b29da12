//! Multi-layer perceptrons: fully connected layers with an activation between them, by their widths.
//!
//! A spec is `784-512-512-10`, `784-128-10:gelu`, or the name of one. By the name `mlp` the first and last width come
//! from the data set.

use super::{Entry, Examples, Network, Outputs};
use crate::{
    model::{Builder, Input, Model, ModelError},
    nn::{Activation, Linear},
};
use ane_ir::Value;
use std::{fmt, str::FromStr};

pub(super) static MLP: Entry = Entry {
    name: "mlp",
    about: "fully connected layers of 512 and 512 with ReLU; other widths as 784-128-10:gelu",
    reconstructs: false,
    flat: true,
    network: Network::Layers(|cx, x, examples| Mlp::of(examples).forward(cx, x)),
};

/// Layers one after the other: fully connected ones with an activation between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mlp {
    widths: Vec<usize>,
    activation: Activation,
}

/// Specs that have names.
const NAMED: &[(&str, &str)] = &[("mnist-mlp", "784-512-512-10")];

/// A model spec that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "model `{spec}`: {reason}; write widths like 784-512-512-10, an activation like 784-128-10:gelu ({}), or {}",
    Activation::ALL.map(Activation::name).join(", "),
    names().join(", ")
)]
pub struct ParseSpecError {
    spec: String,
    reason: String,
}

/// Every name that a model can be asked for by.
fn names() -> Vec<&'static str> {
    let entries = super::ALL.iter().map(|entry| entry.name);
    entries.chain(NAMED.iter().map(|named| named.0)).collect()
}

/// Widest layer a spec may ask for, and most layers: beyond these a typing error is likelier than intent.
const MOST: (usize, usize) = (65_536, 64);

impl FromStr for Mlp {
    type Err = ParseSpecError;

    fn from_str(spec: &str) -> Result<Self, ParseSpecError> {
        let error = |reason: String| ParseSpecError {
            spec: spec.to_owned(),
            reason,
        };
        let full = NAMED
            .iter()
            .find(|(name, _)| *name == spec)
            .map_or(spec, |(_, full)| full);
        let (widths, activation) = full.split_once(':').unwrap_or((full, "relu"));
        let activation = Activation::ALL
            .into_iter()
            .find(|a| a.name() == activation)
            .ok_or_else(|| error(format!("no activation is called `{activation}`")))?;
        let widths = widths
            .split('-')
            .map(|w| {
                w.parse::<usize>()
                    .ok()
                    .filter(|w| (1..=MOST.0).contains(w))
                    .ok_or_else(|| error(format!("`{w}` is not a width from 1 to {}", MOST.0)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !(2..=MOST.1 + 1).contains(&widths.len()) {
            return Err(error(format!(
                "{} widths make no model of 1 to {} layers",
                widths.len(),
                MOST.1
            )));
        }
        Ok(Self { widths, activation })
    }
}

impl fmt::Display for Mlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<String> = self.widths.iter().map(ToString::to_string).collect();
        f.write_str(&widths.join("-"))?;
        if self.activation != Activation::Relu {
            write!(f, ":{}", self.activation.name())?;
        }
        Ok(())
    }
}

impl Mlp {
    /// The default: two hidden layers of 512, with ReLU.
    pub(super) fn of(examples: &Examples) -> Self {
        Self {
            widths: vec![examples.values(), 512, 512, examples.outputs.width()],
            activation: Activation::Relu,
        }
    }

    /// Features of an example.
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    /// Logits of an example.
    pub fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// The model at a batch size: input `x` [B, inputs], output `logits` [B, outputs]. A module's position is its name,
    /// as in PyTorch.
    ///
    /// # Errors
    /// When the batch is empty.
    pub fn model(&self, batch: usize) -> Result<Model, ModelError> {
        let inputs = [Input::fp16("x", [self.inputs()])];
        Model::build(&self.to_string(), batch, &inputs, |cx, x| {
            Ok([("logits", self.forward(cx, x[0])?)])
        })
    }

    /// x [B, inputs] → logits [B, outputs].
    pub(super) fn forward(&self, cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
        let mut x = x;
        for (i, pair) in self.widths.windows(2).enumerate() {
            if i > 0 {
                x = cx.layer(&(2 * i - 1).to_string(), self.activation, x)?;
            }
            x = cx.layer(&(2 * i).to_string(), Linear::new(pair[0], pair[1]), x)?;
        }
        Ok(x)
    }

    /// Whether the first and the last width are those of the examples.
    pub(super) fn fits(&self, examples: &Examples) -> Result<(), ModelError> {
        let outputs = match examples.outputs {
            Outputs::Classes(_) => "classes",
            Outputs::Values(_) => "values to be said",
            Outputs::Tokens(_) => "tokens",
        };
        for (what, width, found) in [
            ("values per example", self.inputs(), examples.values()),
            (outputs, self.outputs(), examples.outputs.width()),
        ] {
            if width != found {
                return Err(ModelError::Examples {
                    model: self.to_string(),
                    what,
                    expected: width,
                    found,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_print_and_parse() {
        let m: Mlp = "mnist-mlp".parse().unwrap();
        assert_eq!(m.to_string(), "784-512-512-10");
        let m: Mlp = "20-5:gelu".parse().unwrap();
        assert_eq!(m.to_string(), "20-5:gelu");
        let names: Vec<String> = "4-3-2"
            .parse::<Mlp>()
            .unwrap()
            .model(1)
            .unwrap()
            .parameters
            .into_iter()
            .map(|p| p.path)
            .collect();
        assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
    }

    #[test]
    fn bad_specs_are_named() {
        for (spec, part) in [
            ("784", "1 widths"),
            ("784-0-10", "`0`"),
            ("784--10", "``"),
            ("784-10:swish", "`swish`"),
            ("784-99999999999999999999-10", "99999"),
        ] {
            let e = spec.parse::<Mlp>().unwrap_err().to_string();
            assert!(e.contains(part) && e.contains("784-512-512-10"), "{e}");
        }
    }
}
