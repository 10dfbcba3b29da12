//! Probes: tiny programs whose results settle what is assumed of a chip, a route or a system.
//!
//! A probe says what it settles, builds its programs for a target, and knows the values that hold if the assumption does.
//! Some break a rule of ours on purpose, in order to see whether the target has it; those waive the rule by name. The
//! compilers that probes are given to may crash or hang, so whoever runs them gives every probe a process of its own.

mod concat_channels;
mod elementwise_add;
mod encodings;
mod has_engine;
mod identity_alone;
mod matmul_cliff;
mod matmul_runtime;
mod narrow_rows;
mod non_finite;
mod output_order;
mod port_order;
mod pow_half;
mod slice_offset;
mod softmax_rows;
mod subnormals;
mod sum_channels;
mod sum_width;
mod surface_count;
mod wide_chain;

use crate::{
    AppleError, AppleOptions, Device, DeviceError,
    trial::{self, TrialError, Values},
};
use ane_ir::{
    Graph, GraphError, Target, TensorType, TypeError,
    passes::{self, Pass},
    testing::fp16_ulps,
};
use serde::{Deserialize, Serialize};

/// Every probe, in alphabetical order.
pub const PROBES: &[Probe] = &[
    concat_channels::PROBE,
    elementwise_add::PROBE,
    identity_alone::PROBE,
    matmul_cliff::PROBE,
    matmul_runtime::PROBE,
    narrow_rows::PROBE,
    non_finite::PROBE,
    output_order::PROBE,
    port_order::PROBE,
    pow_half::PROBE,
    slice_offset::PROBE,
    softmax_rows::PROBE,
    subnormals::PROBE,
    sum_channels::PROBE,
    sum_width::PROBE,
    surface_count::PROBE,
    wide_chain::PROBE,
];

/// Every probe that asks the system and needs no program, in alphabetical order.
pub const SYSTEM_PROBES: &[SystemProbe] = &[encodings::PROBE, has_engine::PROBE];

/// A question to Apple's framework, with the answer that we assume.
#[derive(Debug, Clone, Copy)]
pub struct SystemProbe {
    /// Name of its file.
    pub name: &'static str,
    /// What the answer settles.
    pub settles: &'static str,
    /// What is assumed until somebody sees otherwise.
    pub assumes: &'static str,
    /// Asks.
    pub ask: fn(&AppleOptions) -> Vec<Answer>,
}

/// A question to a chip, with the answer that we assume.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Name of its file.
    pub name: &'static str,
    /// What the answer settles: `rule NAME` for a file of `ane_mil::rules`, or what sources contradict each other about.
    pub settles: &'static str,
    /// What is assumed until somebody sees otherwise.
    pub assumes: &'static str,
    /// Rules that its programs break on purpose.
    pub waives: &'static [&'static str],
    /// Its programs.
    cases: fn(&Target) -> Result<Vec<Case>, ProbeError>,
}

/// A probe's own graph is wrong: our bug.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A node does not type.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A port cannot be made.
    #[error(transparent)]
    Port(#[from] GraphError),
}

/// One program with its values.
struct Case {
    name: &'static str,
    graph: Graph,
    inputs: Values,
    /// Values that hold when the assumption does, with the largest distance in units in the last place of fp16. Without
    /// any, loading the program is the test: its own statement of how its ports lie is compared then.
    expected: Values,
    ulps: u32,
    /// What other values would mean, where sources report them.
    reading: fn(&Values) -> Option<&'static str>,
}

/// What a device answered to one program of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The values are those that were assumed.
    Held,
    /// Other values came out.
    DidNotHold {
        /// Which, and what they mean where that is known.
        found: String,
    },
    /// The device did not take the program.
    Refused {
        /// Its words.
        words: String,
    },
    /// The device took the program and failed on it.
    Failed {
        /// Its words.
        words: String,
    },
    /// A rule of ours that is not in question forbids the program on this target.
    NotAsked {
        /// The rule.
        rule: String,
    },
    /// The program loads, and nothing says whether what is assumed holds.
    NotStated,
    /// The process that ran the probe ended without an answer.
    Died {
        /// How.
        how: String,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held => f.write_str("held"),
            Self::DidNotHold { found } => write!(f, "did not hold: {found}"),
            Self::Refused { words } => write!(f, "refused: {words}"),
            Self::Failed { words } => write!(f, "failed: {words}"),
            Self::NotAsked { rule } => write!(f, "not asked: rule {rule}"),
            Self::NotStated => f.write_str("not stated: the program loads and says nothing of it"),
            Self::Died { how } => write!(f, "died: {how}"),
        }
    }
}

/// The answer to one program of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which program.
    pub case: String,
    /// What came of it.
    pub finding: Finding,
}

impl Probe {
    /// The probe called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROBES.iter().find(|p| p.name == name)
    }

    /// Asks `device`.
    ///
    /// # Errors
    /// When the probe itself is wrong, which is our bug.
    pub fn ask(&self, device: &dyn Device) -> Result<Vec<Answer>, ProbeError> {
        let cases = (self.cases)(device.target())?;
        let answer = |case: &Case| Answer {
            case: case.name.to_owned(),
            finding: self.answer(device, case),
        };
        Ok(cases.iter().map(answer).collect())
    }

    fn answer(&self, device: &dyn Device, case: &Case) -> Finding {
        let target = device.target();
        // Ports of one value would be refused where rows are whole lines, which is a probe's subject only where the rule
        // is waived.
        let pad: Vec<Pass> = passes::LEGALIZE
            .iter()
            .filter(|pass| pass.name == "pad_rows" && !self.waives.contains(&"narrow_rows"))
            .copied()
            .collect();
        let graph = match passes::run(&case.graph, target, &pad) {
            Ok(graph) => graph,
            Err(e) => {
                return Finding::Failed {
                    words: e.to_string(),
                };
            }
        };
        let legal = match ane_mil::check_except(graph, target, self.waives) {
            Ok(legal) => legal,
            Err(violations) => {
                let rules: Vec<&str> = violations.iter().map(|v| v.rule).collect();
                return Finding::NotAsked {
                    rule: rules.first().copied().unwrap_or("unknown").to_owned(),
                };
            }
        };
        let answer = if case.expected.is_empty() {
            let loaded = device.compile(&legal);
            match loaded {
                Ok(program) if !program.layout_is_known() => return Finding::NotStated,
                loaded => loaded.map(|_| None).map_err(TrialError::Refused),
            }
        } else {
            trial::run(device, &case.graph, &legal, &case.inputs, 1).map(|t| Some(t.outputs))
        };
        match answer {
            Ok(None) => Finding::Held,
            Ok(Some(outputs)) => case.judge(&outputs),
            Err(TrialError::Refused(e)) if lies_otherwise(&e) => Finding::DidNotHold {
                found: e.to_string(),
            },
            Err(TrialError::Refused(e)) => Finding::Refused {
                words: e.to_string(),
            },
            Err(e) => Finding::Failed {
                words: e.to_string(),
            },
        }
    }
}

/// Whether a loaded program states other strides than our buffers have.
fn lies_otherwise(e: &DeviceError) -> bool {
    matches!(e, DeviceError::Apple(e) if matches!(**e, AppleError::PortLayout { .. }))
}

impl Case {
    fn judge(&self, found: &Values) -> Finding {
        let mut differing = Vec::new();
        for (port, expected) in &self.expected {
            let values = found.get(port).map_or(&[][..], Vec::as_slice);
            let wrong: Vec<usize> = (0..expected.len())
                .filter(|&i| {
                    values
                        .get(i)
                        .is_none_or(|&x| fp16_ulps(expected[i].into(), x.into()) > self.ulps)
                })
                .collect();
            if let Some(&i) = wrong.first() {
                differing.push(format!(
                    "`{port}`[{i}] is {:?}, expected {:?} ({} of {} values differ)",
                    values.get(i).copied().unwrap_or(f32::NAN),
                    expected[i],
                    wrong.len(),
                    expected.len()
                ));
            }
        }
        if differing.is_empty() {
            return Finding::Held;
        }
        let reading = (self.reading)(found).map_or(String::new(), |r| format!("; {r}"));
        Finding::DidNotHold {
            found: differing.join(", ") + &reading,
        }
    }
}

/// Nothing is known of other values.
fn unexplained(_: &Values) -> Option<&'static str> {
    None
}

/// Values of ports.
fn values<const N: usize>(ports: [(&str, Vec<f32>); N]) -> Values {
    ports.map(|(name, x)| (name.to_owned(), x)).into()
}

/// The first value of a port.
fn first(found: &Values, port: &str) -> Option<f32> {
    found.get(port)?.first().copied()
}

/// 32 rows of 32 elements, which every route carries as they are.
fn square() -> TensorType {
    TensorType::fp16([1, 32, 1, 32])
}

/// Elements of [`square`].
const SQUARE: usize = 32 * 32;

/// Small whole numbers that repeat after `period`.
fn ramp(len: usize, period: usize) -> Vec<f32> {
    (0..len).map(|i| (i % period) as f32).collect()
}

#[cfg(test)]
mod tests;
