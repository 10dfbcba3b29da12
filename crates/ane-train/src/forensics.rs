//! Where a step went wrong: the first tensor, in the order of execution, that overflowed or was no number, or behind which
//! no gradient reaches a parameter any more.
//!
//! The engine says that something overflowed, not what. So the step is evaluated once more, node by node, with the
//! numerics of its target and from the bits that were in its ports; nodes have the path of their layer
//! ([`ane_ir::Place`]), which passes and gradients keep. What is evaluated is the step as it was built, so that ops are
//! those of the model and not what a chip makes of them. That takes far longer than the step, and is done where it says
//! something.

mod overflow;
mod roles;
mod vanished;

use crate::{model::Parameter, stage::HostNode, step::Step};
use ane_ir::{DType, Literal, Numerics, Target};
use roles::Roles;
use serde::{Deserialize, Serialize};
use std::fmt;
use vanished::Zeros;

/// Largest fp16 number.
pub(crate) const LARGEST_FP16: f64 = 65_504.0;

/// The part of a step that a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// From the inputs to the loss.
    Forward,
    /// From the loss to the gradients.
    Backward,
    /// From the gradients to the new state, inside the program.
    Update,
}

impl Pass {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
        }
    }
}

/// What is wrong with a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It reaches beyond its limit.
    Overflow,
    /// It holds NaN, or the infinite result of a function, such as the logarithm of 0.
    NotFinite,
    /// All of it is zero, and what arrived was not.
    Vanished,
}

/// The first tensor of a step that went wrong. A line of `findings.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The step, from 1.
    pub step: u64,
    /// Path of the layer that made the tensor; of the update, the parameter; of an input of the step, the parameter or the
    /// port; `loss` for what follows the layers.
    pub layer: String,
    /// The op that made it, as MIL names it, or `input`.
    pub op: String,
    /// The part of the step.
    pub pass: Pass,
    /// What is wrong.
    pub what: What,
    /// Its largest magnitude before it was rounded to its type, in its own unit; none where that is not finite.
    pub magnitude: Option<f64>,
    /// The magnitude that it may not reach; of what vanished, the smallest above 0 that its type holds.
    pub limit: f64,
    /// The loss scale of the step, which cotangents carry.
    pub loss_scale: f32,
    /// Of what vanished: the parameter whose gradient is all zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            layer,
            op,
            loss_scale,
            limit,
            ..
        } = self;
        write!(f, "step {step}, loss scale {loss_scale}: ")?;
        let pass = self.pass.name();
        match (self.what, self.magnitude) {
            (What::Overflow, Some(magnitude)) => write!(
                f,
                "the first tensor to overflow is made by `{op}` of `{layer}` in the {pass} pass: {} where {} is the limit",
                Short(magnitude),
                Short(*limit)
            ),
            (What::Overflow, None) => write!(
                f,
                "the first tensor to overflow is made by `{op}` of `{layer}` in the {pass} pass: infinite where {} is the \
                 limit",
                Short(*limit)
            ),
            (What::NotFinite, _) => write!(
                f,
                "the first tensor that is not finite is made by `{op}` of `{layer}` in the {pass} pass"
            ),
            (What::Vanished, magnitude) => {
                let of = self.parameter.as_deref().unwrap_or(layer);
                write!(
                    f,
                    "the gradient of `{of}` is all zero: `{op}` of `{layer}` lets nothing through in the {pass} pass"
                )?;
                match magnitude {
                    Some(x) if x > 0.0 => write!(
                        f,
                        ", as its largest element would be {} and {} is the smallest that there is",
                        Short(x),
                        Short(*limit)
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// What findings say, a line for each; gradients that vanish in one place are one line.
pub fn lines(findings: &[Finding]) -> Vec<String> {
    let mut lines: Vec<(&Finding, usize)> = Vec::new();
    for finding in findings {
        let is_same = |other: &Finding| {
            let place = |f: &Finding| (f.step, f.what, f.layer.clone(), f.op.clone());
            finding.what == What::Vanished && place(other) == place(finding)
        };
        match lines.iter_mut().find(|(first, _)| is_same(first)) {
            Some((_, others)) => *others += 1,
            None => lines.push((finding, 0)),
        }
    }
    let text = |(finding, others): (&Finding, usize)| match others {
        0 => finding.to_string(),
        n => format!("{finding}; the same holds for {n} more"),
    };
    lines.into_iter().map(text).collect()
}

/// A number in few digits.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = self.0;
        match (1e-3..1e6).contains(&x) {
            true if x.fract() == 0.0 => write!(f, "{x}"),
            true if x >= 100.0 => write!(f, "{x:.1}"),
            true => write!(f, "{x:.4}"),
            false => write!(f, "{x:.2e}"),
        }
    }
}

/// A step that is looked into: the graph, by whose rules it was computed, and from what.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The step.
    pub(crate) step: &'a Step,
    /// The parameters of its model.
    pub(crate) parameters: &'a [Parameter],
    /// Whose limits are watched.
    pub(crate) target: Target,
    /// How it computes.
    pub(crate) numerics: &'a Numerics,
    /// The nodes that the host computes, in fp32.
    pub(crate) host: &'a [HostNode],
    /// What the input ports held, in the order of the graph's inputs.
    pub(crate) inputs: &'a [Literal],
    /// The step, from 1.
    pub(crate) number: u64,
    /// The loss scale.
    pub(crate) loss_scale: f32,
}

/// A tensor under suspicion.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Suspect {
    source: Source,
    what: What,
    magnitude: f64,
    limit: f64,
}

/// What made a tensor: an input port or a node, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Input(usize),
    Node(usize),
}

impl Scene<'_> {
    /// The first tensor that overflows or is not finite; none where the evaluation has none.
    pub(crate) fn overflow(&self) -> Option<Finding> {
        let roles = Roles::of(self);
        let suspect = overflow::first(self, &roles)?;
        Some(self.finding(&roles, suspect))
    }

    /// Where nothing is let through any more to each of these parameters, by path, with an output that is all zero as its
    /// gradient is; nothing of those that the evaluation finds otherwise.
    pub(crate) fn vanished(&self, parameters: &[(String, String)]) -> Vec<Finding> {
        let roles = Roles::of(self);
        let zeros = Zeros::of(self, &roles);
        let found = parameters.iter().filter_map(|(path, port)| {
            let suspect = zeros.origin(self, port)?;
            Some(Finding {
                parameter: Some(path.clone()),
                ..self.finding(&roles, suspect)
            })
        });
        found.collect()
    }

    fn finding(&self, roles: &Roles, suspect: Suspect) -> Finding {
        let graph = &self.step.graph;
        let (op, layer, pass) = match suspect.source {
            Source::Input(i) => {
                let port = graph.port(graph.inputs()[i]);
                let parameter = self.parameters.iter().find(|p| p.port() == port);
                let layer = parameter.map_or(port, |p| &p.path);
                ("input", layer.to_owned(), Pass::Forward)
            }
            Source::Node(i) => (
                graph.nodes()[i].op.name(),
                roles.layer(graph, i),
                roles.pass(graph, i),
            ),
        };
        Finding {
            step: self.number,
            layer,
            op: op.to_owned(),
            pass,
            what: suspect.what,
            magnitude: Some(suspect.magnitude).filter(|x| x.is_finite()),
            limit: suspect.limit,
            loss_scale: self.loss_scale,
            parameter: None,
        }
    }

    /// Whether the host computes the node at this position.
    fn is_on_host(&self, node: usize) -> bool {
        self.host.iter().any(|h| h.node == node)
    }

    /// The smallest magnitude above zero that a tensor of this type holds.
    fn smallest(&self, dtype: DType) -> f64 {
        match (dtype, self.numerics.flush_subnormals) {
            (DType::Fp16, true) => 2.0_f64.powi(-14),
            (DType::Fp16, false) => 2.0_f64.powi(-24),
            _ => f64::from(f32::from_bits(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_that_vanish_in_one_place_are_one_line_and_others_their_own() {
        let finding = |what, layer: &str, parameter: Option<&str>| Finding {
            step: 3,
            layer: layer.into(),
            op: "select".into(),
            pass: Pass::Backward,
            what,
            magnitude: None,
            limit: 1e-7,
            loss_scale: 8.0,
            parameter: parameter.map(str::to_owned),
        };
        let found = [
            finding(What::Vanished, "1", Some("0.weight")),
            finding(What::NotFinite, "1", None),
            finding(What::Vanished, "1", Some("0.bias")),
            finding(What::Vanished, "3", Some("2.bias")),
            finding(What::NotFinite, "1", None),
        ];
        let all_zero = |of: &str, at: &str| {
            format!(
                "step 3, loss scale 8: the gradient of `{of}` is all zero: `select` of `{at}` lets nothing through in the \
                 backward pass"
            )
        };
        let no_number = "step 3, loss scale 8: the first tensor that is not finite is made by `select` of `1` in the \
                         backward pass";
        let expected = [
            format!("{}; the same holds for 1 more", all_zero("0.weight", "1")),
            no_number.to_owned(),
            all_zero("2.bias", "3"),
            no_number.to_owned(),
        ];
        assert_eq!(lines(&found), expected);
    }

    #[test]
    fn a_finding_is_read_back_also_where_its_magnitude_is_infinite() {
        let text = r#"{"step":1,"layer":"a","op":"log","pass":"forward","what":"not_finite","magnitude":null,"limit":65504.0,"loss_scale":2.0}"#;
        let finding: Finding = serde_json::from_str(text).unwrap();
        assert_eq!((finding.magnitude, finding.what), (None, What::NotFinite));
        assert_eq!(serde_json::to_string(&finding).unwrap(), text);
    }
}
