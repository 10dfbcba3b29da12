//! `nn.Sequential`, written as a spec: `784-512-512-10`, `784-128-10:gelu`, or the name of one.

use super::{Activation, Linear};
use crate::model::{Input, Model, ModelError, Parameter};
use ane_ir::{Graph, TypeError, Value};
use std::{fmt, str::FromStr};

/// Layers one after the other: fully connected ones with an activation between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequential {
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
    NAMED.iter().map(|n| n.0).collect::<Vec<_>>().join(", ")
)]
pub struct ParseSpecError {
    spec: String,
    reason: String,
}

/// Widest layer a spec may ask for, and most layers: beyond these a typing error is likelier than intent.
const MOST: (usize, usize) = (65_536, 64);

impl FromStr for Sequential {
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

impl fmt::Display for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<String> = self.widths.iter().map(ToString::to_string).collect();
        f.write_str(&widths.join("-"))?;
        if self.activation != Activation::Relu {
            write!(f, ":{}", self.activation.name())?;
        }
        Ok(())
    }
}

impl Sequential {
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
            let mut x = x[0];
            for (i, pair) in self.widths.windows(2).enumerate() {
                if i > 0 {
                    x = cx.layer(&(2 * i - 1).to_string(), self.activation, x)?;
                }
                x = cx.layer(&(2 * i).to_string(), Linear::new(pair[0], pair[1]), x)?;
            }
            Ok([("logits", x)])
        })
    }

    /// Parameters in order of definition.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.model(1)
            .expect("widths are positive, and each layer takes what the one before gives")
            .parameters
    }

    /// Floating-point operations of one example's forward pass and of its training step: 2 per weight forward, and 2
    /// for each of the two backward products, of which the first layer needs one.
    pub fn flops(&self) -> (u64, u64) {
        let products: Vec<u64> = self
            .widths
            .windows(2)
            .map(|w| 2 * (w[0] * w[1]) as u64)
            .collect();
        let forward: u64 = products.iter().sum();
        (forward, 3 * forward - products[0])
    }

    /// x [B, inputs] → logits [B, outputs]; `weights` in the order of [`Sequential::parameters`].
    ///
    /// # Errors
    /// When the operands do not fit.
    pub fn build(&self, g: &mut Graph, x: Value, weights: &[Value]) -> Result<Value, TypeError> {
        weights
            .chunks_exact(2)
            .enumerate()
            .try_fold(x, |x, (i, pair)| {
                let x = if i > 0 {
                    self.activation.build(g, x)?
                } else {
                    x
                };
                let y = g.matmul(x, pair[0], false, true)?;
                g.add(y, pair[1])
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_print_and_parse() {
        let m: Sequential = "mnist-mlp".parse().unwrap();
        assert_eq!(m.to_string(), "784-512-512-10");
        let m: Sequential = "20-5:gelu".parse().unwrap();
        assert_eq!(m.to_string(), "20-5:gelu");
        let names: Vec<String> = "4-3-2"
            .parse::<Sequential>()
            .unwrap()
            .parameters()
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
            let e = spec.parse::<Sequential>().unwrap_err().to_string();
            assert!(e.contains(part) && e.contains("784-512-512-10"), "{e}");
        }
    }

    #[test]
    fn training_costs_what_the_products_cost() {
        let m: Sequential = "784-512-512-10".parse().unwrap();
        // 3.209 million per image, first layer without input gradient.
        assert_eq!(m.flops().1, 3_209_216);
    }
}
