//! How convolutions are lowered where that is asked for: patterns of layers and what becomes of them.

use crate::update::matches;
use ane_ir::{
    Graph, Target,
    ops::Op,
    passes::{
        conv_to_matmul::ConvLowering,
        lower_as::{LowerAsError, lower_as},
        lowerings::Lowered,
    },
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What becomes of the convolutions of some layers, and of their gradients: `im2col`, or `layer1.*=im2col`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoweringRule {
    /// A pattern of paths of layers, in which `*` stands for any characters; `*` alone is all of them.
    layers: String,
    lowering: ConvLowering,
}

/// A text is no [`LoweringRule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no lowering: expected {}, alone or behind a pattern of layers and `=`",
    names()
)]
pub struct ParseLoweringError {
    found: String,
}

fn names() -> String {
    ConvLowering::ALL.map(ConvLowering::name).join(", ")
}

impl FromStr for LoweringRule {
    type Err = ParseLoweringError;

    fn from_str(text: &str) -> Result<Self, ParseLoweringError> {
        let (layers, name) = text.rsplit_once('=').unwrap_or(("*", text));
        let lowering = ConvLowering::ALL.into_iter().find(|l| l.name() == name);
        match lowering {
            Some(lowering) if !layers.is_empty() => Ok(Self {
                layers: layers.to_owned(),
                lowering,
            }),
            _ => Err(ParseLoweringError {
                found: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for LoweringRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layers.as_str() {
            "*" => f.write_str(self.lowering.name()),
            layers => write!(f, "{layers}={}", self.lowering.name()),
        }
    }
}

impl TryFrom<String> for LoweringRule {
    type Error = ParseLoweringError;

    fn try_from(text: String) -> Result<Self, ParseLoweringError> {
        text.parse()
    }
}

impl From<LoweringRule> for String {
    fn from(rule: LoweringRule) -> Self {
        rule.to_string()
    }
}

/// Convolutions could not be lowered as it was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoweringError {
    /// No layer with a convolution has a path of the pattern.
    #[error("`{rule}` names no layer with a convolution; there are: {}", .layers.join(", "))]
    NamesNothing {
        /// The rule.
        rule: LoweringRule,
        /// Paths of layers with convolutions.
        layers: Vec<String>,
    },
    /// It fits no convolution of a layer.
    #[error(transparent)]
    DoesNotFit(#[from] LowerAsError),
}

/// `graph` lowered by `rules`, of which the first that names a layer holds for it; and what became of its convolutions.
///
/// # Errors
/// When a rule names no layer with a convolution, or does not fit one that it names.
pub fn lowered(
    graph: &Graph,
    rules: &[LoweringRule],
    target: &Target,
) -> Result<(Graph, Vec<Lowered>), LoweringError> {
    let nodes = graph.nodes().iter().enumerate();
    let convolutions =
        nodes.filter(|(_, node)| matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_)));
    let mut layers: Vec<String> = convolutions
        .map(|(i, _)| graph.place(i).path().to_owned())
        .collect();
    layers.sort();
    layers.dedup();
    let names_nothing = |rule: &&LoweringRule| !layers.iter().any(|l| matches(&rule.layers, l));
    if let Some(rule) = rules.iter().find(names_nothing) {
        return Err(LoweringError::NamesNothing {
            rule: rule.clone(),
            layers,
        });
    }
    let asked = |place: &ane_ir::Place| {
        let rule = rules.iter().find(|r| matches(&r.layers, place.path()));
        rule.map(|r| r.lowering)
    };
    Ok(lower_as(graph, target, asked)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_name_alone_or_behind_a_pattern() {
        for text in ["im2col", "layer1.*=shift", "conv?=native"] {
            let rule: LoweringRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<LoweringRule>(&json).unwrap(), rule);
        }
        for wrong in ["", "=im2col", "conv1=", "winograd", "conv1=Im2col"] {
            let said = wrong.parse::<LoweringRule>().unwrap_err().to_string();
            let expected = "is no lowering: expected native, matmul, im2col, shift";
            assert!(said.contains(expected), "{said}");
        }
    }
}
