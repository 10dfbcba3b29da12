//! `.pt2` files, what `torch.export.save` of PyTorch 2.15 writes: a zip of JSON and raw weights.
//!
//! Nothing in them is run, and pickles are not opened. A file is read into as much memory as it has bytes, whatever it
//! says of itself: its entries are stored and not compressed, no two of them are read from the same bytes beyond that, and
//! every number in the JSON is checked before something is made of it.

mod archive;
mod error;
mod json;
mod nodes;
mod size;
mod weights;

pub use error::Pt2Error;
pub use weights::{StoredTensor, Values};

use crate::aten;
use archive::Archive;
use json::{Argument, InputSpec, OutputSpec, Program, SymInt};
use size::Sizes;
use std::{collections::HashMap, path::Path};

/// Schema of PyTorch's JSON that is read: this version, and minor ones of it.
const SCHEMA: u64 = 8;

/// What an input of an exported graph is.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// A parameter.
    Parameter {
        /// PyTorch's path.
        path: String,
        /// Whether gradients are asked for.
        trainable: bool,
    },
    /// A buffer.
    Buffer {
        /// PyTorch's path.
        path: String,
        /// Whether it belongs to the `state_dict`.
        persistent: bool,
    },
    /// A tensor that the forward pass holds itself.
    Constant {
        /// Its name.
        path: String,
    },
    /// What the user passes.
    User,
}

/// A graph at a batch size, and what its inputs are.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The graph.
    pub graph: aten::Graph,
    /// The role of every input of the graph.
    pub roles: Vec<Role>,
}

/// A `.pt2` file.
#[derive(Debug)]
pub struct Pt2 {
    program: Program,
    weights: HashMap<String, StoredTensor>,
    constants: HashMap<String, StoredTensor>,
}

impl Pt2 {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no such file, is damaged, has pickled weights, or is of a schema that is not known.
    pub fn open(path: &Path) -> Result<Self, Pt2Error> {
        let mut archive = Archive::open(path)?;
        let text = archive.text("models/model.json")?;
        // Of another version, the rest may be of another form.
        let version: json::Versioned = parse("models/model.json", &text)?;
        if version.schema_version.major != SCHEMA {
            return Err(Pt2Error::Schema {
                found: version.schema_version.major,
                torch: version.torch_version.unwrap_or_default(),
            });
        }
        let program: Program = parse("models/model.json", &text)?;
        drop(text);
        let weights = weights::read(&mut archive, "weights", "model_weights_config.json")?;
        let constants = weights::read(&mut archive, "constants", "model_constants_config.json")?;
        Ok(Self {
            program,
            weights,
            constants,
        })
    }

    /// The batch it was exported for; none if it is open.
    ///
    /// # Errors
    /// When it takes something else than one tensor.
    pub fn batch(&self) -> Result<Option<usize>, Pt2Error> {
        let name = self.user_input()?;
        let meta = self.program.graph_module.graph.tensor_values.get(name);
        match meta.and_then(|m| m.sizes.first()) {
            Some(SymInt::AsInt(n)) => Ok(usize::try_from(*n).ok()),
            Some(SymInt::AsExpr { .. }) => Ok(None),
            None => Err(Pt2Error::Malformed {
                what: format!("the input `{name}` has no axis of the batch"),
            }),
        }
    }

    /// The graph at this batch size, which must be the file's unless that is open.
    ///
    /// # Errors
    /// When sizes do not come out, or something refers to what is not there.
    pub fn at(&self, batch: usize) -> Result<Exported, Pt2Error> {
        let module = &self.program.graph_module;
        let sizes = Sizes::new(batch);
        let mut inputs = Vec::new();
        let mut roles = Vec::new();
        for spec in &module.signature.input_specs {
            let (name, role) = match spec {
                InputSpec::Parameter(p) => (
                    Some(&p.arg.name),
                    Role::Parameter {
                        path: p.parameter_name.clone(),
                        trainable: self
                            .weights
                            .get(&p.parameter_name)
                            .is_some_and(|w| w.requires_grad),
                    },
                ),
                InputSpec::Buffer(b) => (
                    Some(&b.arg.name),
                    Role::Buffer {
                        path: b.buffer_name.clone(),
                        persistent: b.persistent,
                    },
                ),
                InputSpec::TensorConstant(c) => (
                    Some(&c.arg.name),
                    Role::Constant {
                        path: c.tensor_constant_name.clone(),
                    },
                ),
                InputSpec::UserInput(u) => match &u.arg {
                    Argument::AsTensor(t) => (Some(&t.name), Role::User),
                    _ => (None, Role::User),
                },
                InputSpec::ConstantInput(_) | InputSpec::CustomObj(_) | InputSpec::Token(_) => {
                    (None, Role::User)
                }
            };
            let tensor = |name: &String| sizes.tensor(&module.graph, name);
            inputs.push(name.map(tensor).transpose()?);
            roles.push(role);
        }
        let mut outputs = Vec::new();
        for spec in &module.signature.output_specs {
            match spec {
                OutputSpec::UserOutput(o) => {
                    outputs.push(nodes::argument(&sizes, &module.graph, &o.arg)?)
                }
                OutputSpec::LossOutput(o) => outputs.push(aten::Arg::Tensor(o.arg.name.clone())),
                OutputSpec::GradientToParameter(_) | OutputSpec::GradientToUserInput(_) => {
                    return Err(Pt2Error::Decomposed {
                        what: "gradients of its own",
                    });
                }
                OutputSpec::BufferMutation(_) | OutputSpec::ParameterMutation(_) => {
                    return Err(Pt2Error::Decomposed {
                        what: "buffers that it returns",
                    });
                }
                OutputSpec::UserInputMutation(_) | OutputSpec::Token(_) => {}
            }
        }
        Ok(Exported {
            graph: aten::Graph {
                name: "the exported graph".to_owned(),
                inputs,
                nodes: nodes::of(&sizes, &module.graph)?,
                outputs,
            },
            roles,
        })
    }

    /// A parameter or buffer of the `state_dict`.
    pub fn weight(&self, path: &str) -> Option<&StoredTensor> {
        self.weights.get(path)
    }

    /// A tensor that is not in the `state_dict`.
    pub fn constant(&self, path: &str) -> Option<&StoredTensor> {
        self.constants.get(path)
    }

    /// Every tensor of the `state_dict`, by path.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.weights.iter().map(|(path, t)| (path.as_str(), t))
    }

    fn user_input(&self) -> Result<&str, Pt2Error> {
        let specs = self.program.graph_module.signature.input_specs.iter();
        let mut found = specs.filter_map(|spec| match spec {
            InputSpec::UserInput(u) => Some(match &u.arg {
                Argument::AsTensor(t) => t.name.as_str(),
                _ => "",
            }),
            _ => None,
        });
        match (found.next(), found.next()) {
            (Some(name), None) if !name.is_empty() => Ok(name),
            _ => Err(Pt2Error::Inputs),
        }
    }
}

fn parse<'de, T: serde::Deserialize<'de>>(name: &str, text: &'de [u8]) -> Result<T, Pt2Error> {
    serde_json::from_slice(text).map_err(|e| Pt2Error::Json {
        name: name.to_owned(),
        error: e.to_string(),
    })
}
