//! The `state_dict` of an exported model: which of its tensors are parameters, which are running statistics, and which are
//! only kept.

use crate::{
    aten::Arg,
    lower::{changed, names},
    pt2::{Exported, Pt2, Role, StoredTensor, Values},
};
use ane_ir::Shape;
use ane_train::model::{Init, Kept, KeptValues, Model, Tags};
use std::collections::{HashMap, HashSet};

/// The tensors of a file are not those of its graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The graph names a tensor that the file does not have.
    #[error("the file has no tensor `{path}`")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A parameter that is not of real numbers.
    #[error("the parameter `{path}` is not of real numbers")]
    NotReal {
        /// Its path.
        path: String,
    },
}

/// A parameter that the forward pass reads.
#[derive(Debug, Clone)]
pub(super) struct Weight {
    pub(super) path: String,
    pub(super) shape: Shape,
    pub(super) init: Init,
    pub(super) tags: Tags,
    trainable: bool,
}

/// What becomes of the tensors of a model.
#[derive(Debug, Clone)]
pub(super) struct StateDict {
    /// Parameters, in PyTorch's order.
    pub(super) weights: Vec<Weight>,
    /// Running statistics that follow the batches, in PyTorch's order.
    pub(super) running: Vec<(String, Shape, Init)>,
    /// What paths begin with that are told without it.
    within: &'static str,
    /// The path of the parameter that a path is another name of.
    first_name: HashMap<String, String>,
    kept: Vec<Kept>,
}

impl StateDict {
    /// Of a file whose model lies within a module of this path, which is left out of paths.
    pub(super) fn new(
        file: &Pt2,
        train: &Exported,
        eval: Option<&Exported>,
        within: &'static str,
    ) -> Result<Self, StateError> {
        let graphs: Vec<&Exported> = std::iter::once(train).chain(eval).collect();
        let read: HashSet<String> = graphs.iter().flat_map(|e| paths_read(e)).collect();
        let follows: HashSet<String> = paths_that_follow(train);
        let tags = tags_of(train);
        let missing = |path: &str| StateError::Missing {
            path: path.to_owned(),
        };
        let find = |path: &str| file.weight(path).ok_or_else(|| missing(path));
        let mut by_place: HashMap<_, String> = HashMap::new();
        let mut state = Self {
            weights: Vec::new(),
            running: Vec::new(),
            within,
            first_name: HashMap::new(),
            kept: Vec::new(),
        };
        // All names of a tensor are read if one of them is.
        let mut places_read = HashSet::new();
        for role in &train.roles {
            if let Role::Parameter { path, .. } = role
                && read.contains(path)
            {
                places_read.insert(find(path)?.place.clone());
            }
        }
        for role in &train.roles {
            match role {
                Role::Parameter {
                    path: whole,
                    trainable,
                } => {
                    let stored = find(whole)?;
                    let path = state.told(whole);
                    if !places_read.contains(&stored.place) {
                        state.kept.push(kept(path, stored));
                        continue;
                    }
                    let first = by_place.get(&stored.place).cloned();
                    if let Some(first) = first {
                        state.first_name.insert(path.to_owned(), first.clone());
                        state.kept.push(Kept {
                            path: path.to_owned(),
                            shape: stored.shape.clone(),
                            values: KeptValues::SameAs(first),
                        });
                        continue;
                    }
                    by_place.insert(stored.place.clone(), path.to_owned());
                    state.weights.push(Weight {
                        path: path.to_owned(),
                        shape: crate::lower::shape_of(&stored.shape),
                        init: initial(path, stored)?,
                        tags: tags.get(whole).copied().unwrap_or_default(),
                        trainable: *trainable,
                    });
                }
                Role::Buffer { path, persistent } => {
                    if follows.contains(path) {
                        let stored = find(path)?;
                        let shape = Shape::new(&stored.shape);
                        let init = initial(path, stored)?;
                        let path = state.told(path).to_owned();
                        state.running.push((path, shape, init));
                    } else if *persistent {
                        let stored = find(path)?;
                        state.kept.push(kept(state.told(path), stored));
                    }
                }
                Role::Constant { .. } | Role::User => {}
            }
        }
        Ok(state)
    }

    /// The path by which a parameter is declared.
    pub(super) fn declared<'a>(&'a self, path: &'a str) -> &'a str {
        let path = self.told(path);
        self.first_name.get(path).map_or(path, String::as_str)
    }

    /// A path as it is told.
    pub(super) fn told<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.within).unwrap_or(path)
    }

    /// Tells a model what is not trained and what is kept.
    pub(super) fn mark(&self, model: &mut Model) {
        for (parameter, weight) in model.parameters.iter_mut().zip(&self.weights) {
            parameter.trainable = weight.trainable;
        }
        model.kept.clone_from(&self.kept);
    }
}

fn initial(path: &str, stored: &StoredTensor) -> Result<Init, StateError> {
    match &stored.values {
        Values::Real(x) => Ok(Init::Values(x.clone())),
        Values::Whole(_) | Values::Truth(_) => Err(StateError::NotReal {
            path: path.to_owned(),
        }),
    }
}

fn kept(path: &str, stored: &StoredTensor) -> Kept {
    Kept {
        path: path.to_owned(),
        shape: stored.shape.clone(),
        values: match &stored.values {
            Values::Real(x) => KeptValues::Fp32(x.clone()),
            Values::Whole(x) => KeptValues::Int64(x.clone()),
            Values::Truth(x) => KeptValues::Bool(x.clone()),
        },
    }
}

/// The paths of inputs by their names in the graph.
fn paths(exported: &Exported) -> HashMap<&str, &str> {
    let inputs = exported.graph.inputs.iter().zip(&exported.roles);
    inputs
        .filter_map(|(tensor, role)| match role {
            Role::Parameter { path, .. } | Role::Buffer { path, .. } => {
                Some((tensor.as_ref()?.name.as_str(), path.as_str()))
            }
            Role::Constant { .. } | Role::User => None,
        })
        .collect()
}

/// Paths of the parameters and buffers that some node reads.
fn paths_read(exported: &Exported) -> HashSet<String> {
    let paths = paths(exported);
    let mut read = HashSet::new();
    for node in &exported.graph.nodes {
        for (_, arg) in &node.args {
            names(arg, &mut |name| {
                read.extend(paths.get(name).map(|&p| p.to_owned()));
            });
        }
    }
    read
}

/// Paths of the buffers that follow the batches: running statistics of batch norms that train.
fn paths_that_follow(exported: &Exported) -> HashSet<String> {
    let paths = paths(exported);
    let mut follow = HashSet::new();
    for node in &exported.graph.nodes {
        if node.op() != "batch_norm" || node.arg("training") != Some(&Arg::Bool(true)) {
            continue;
        }
        for name in ["running_mean", "running_var"] {
            if let Some(Arg::Tensor(tensor)) = node.arg(name) {
                follow.extend(paths.get(tensor.as_str()).map(|&p| p.to_owned()));
            }
        }
    }
    follow
}

/// What kinds of parameters there are, by what reads them.
fn tags_of(exported: &Exported) -> HashMap<String, Tags> {
    let paths = paths(exported);
    let mut tags: HashMap<String, Tags> = HashMap::new();
    for node in exported.graph.nodes.iter().filter(|n| changed(n).is_none()) {
        let is_norm = node.op().ends_with("_norm");
        for (name, arg) in &node.args {
            let Arg::Tensor(tensor) = arg else { continue };
            let Some(path) = paths.get(tensor.as_str()) else {
                continue;
            };
            let tag = tags.entry((*path).to_owned()).or_default();
            tag.bias |= name == "bias";
            tag.norm |= is_norm;
            tag.embedding |= node.op() == "embedding" && name == "weight";
        }
    }
    tags
}
