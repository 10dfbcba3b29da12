//! Models of others, imported with what is minimised: of Keras, with what `model.compile` was given, and of PyTorch, with the
//! loss in the graph.

use crate::errors::{self, UnsupportedError};
use ane_import::{
    keras::{
        self, KerasError, Options, Role,
        compile::{self, Compiled},
    },
    model::{Captured, TorchModel},
};
use ane_ir::DType;
use ane_train::{
    metric::Metric,
    model,
    objective::{Objective, Term},
    optim::{OptimizerConfig, Sgd},
};
use pyo3::prelude::*;
use std::path::PathBuf;

/// What Python calls the target of the loss.
const TARGET: &str = "target";

/// A model at a fixed batch size, and how it is trained.
#[pyclass(frozen)]
pub(crate) struct Model {
    pub(crate) model: model::Model,
    origin: Origin,
}

/// Where a model comes from, and what was said there of its training.
enum Origin {
    Keras {
        compiled: Box<Compiled>,
        /// Path and role of every tensor of Keras's own list of weights.
        weights: Vec<(String, &'static str)>,
    },
    PyTorch {
        /// Buffers that every training step counts up, and by how much.
        counters: Vec<(String, i64)>,
    },
}

fn refused(error: KerasError) -> PyErr {
    UnsupportedError::new_err(error.to_string())
}

impl Model {
    /// What Keras was given by `model.compile`.
    fn compiled(&self) -> Option<&Compiled> {
        match &self.origin {
            Origin::Keras { compiled, .. } => Some(compiled),
            Origin::PyTorch { .. } => None,
        }
    }

    /// What is measured besides the loss.
    pub(crate) fn kinds_of_metrics(&self) -> Vec<&'static dyn Metric> {
        let metrics = self.compiled().map_or(&[][..], |c| &c.metrics);
        metrics.iter().map(|m| m.metric).collect()
    }

    /// Who updates, where nobody else says it.
    pub(crate) fn optimizer(&self) -> OptimizerConfig {
        let compiled = self.compiled().map(|c| c.optimizer.clone());
        compiled.unwrap_or(OptimizerConfig::Sgd(Sgd::default()))
    }

    /// Largest global norm of the gradients, if clipped.
    pub(crate) fn max_norm(&self) -> Option<f64> {
        self.compiled()?.max_norm
    }

    /// The sum of the losses, or the model's own.
    pub(crate) fn objective(&self) -> Objective {
        let Some(compiled) = self.compiled() else {
            return Objective::own();
        };
        let losses = compiled.losses.iter().zip(&self.model.train.outputs);
        let terms = losses.map(|(loss, (output, _))| Term {
            loss: loss.loss,
            output: output.clone(),
            target: TARGET.to_owned(),
            weight: loss.weight,
        });
        Objective {
            terms: terms.collect(),
        }
    }

    /// Element types of the tensors of a batch, by name.
    pub(crate) fn types(&self) -> Vec<(String, DType)> {
        let g = &self.model.train;
        let inputs = g.inputs.iter();
        let mut types: Vec<_> = inputs
            .map(|&v| (g.graph.port(v).to_owned(), g.graph.ty(v).dtype))
            .collect();
        if self.compiled().is_some() {
            let target = if self.sparse() {
                DType::Int32
            } else {
                DType::Fp16
            };
            types.push((TARGET.to_owned(), target));
        }
        types
    }
}

#[pymethods]
impl Model {
    /// A model of Keras's `model.to_json()` and `model.get_compile_config()`, for batches of `batch` rows.
    #[staticmethod]
    #[pyo3(signature = (config, compile_config, batch, input_shapes=None))]
    fn from_keras(
        py: Python<'_>,
        config: &str,
        compile_config: &str,
        batch: usize,
        input_shapes: Option<Vec<Vec<usize>>>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let json = serde_json::from_str(compile_config).map_err(|e| {
                UnsupportedError::new_err(format!("the settings of model.compile: {e}"))
            })?;
            let compiled = compile::compiled(&json).map_err(refused)?;
            let only = |what: &str, how: &str| {
                Err(UnsupportedError::new_err(format!(
                    "{what} has no form here; {how}"
                )))
            };
            if let Some(name) = compiled.other_metrics.first() {
                return only(&format!("the metric {name:?}"), "leave it out");
            }
            if compiled.losses.len() != 1 {
                return only("a model with several losses or none", "give it one");
            }
            if compiled.accumulate != 1 {
                return only("gradient_accumulation_steps", "leave it out");
            }
            let options = Options {
                logits: compiled.takes_probabilities(),
                input_shapes,
                ..Options::new(batch)
            };
            let imported = keras::import(config.as_bytes(), &options).map_err(refused)?;
            compiled.check(&imported.outputs).map_err(refused)?;
            let role = |role| match role {
                Role::Parameter => "parameter",
                Role::Buffer => "buffer",
                Role::Unused => "unused",
            };
            let weights = imported.weights.into_iter();
            Ok(Self {
                origin: Origin::Keras {
                    weights: weights.map(|w| (w.path, role(w.role))).collect(),
                    compiled: Box::new(compiled),
                },
                model: imported.model,
            })
        })
    }

    /// A model that brings its own loss, of the programs that PyTorch exported of both modes.
    #[staticmethod]
    fn from_torch(py: Python<'_>, name: &str, train: PathBuf, eval: PathBuf) -> PyResult<Self> {
        py.detach(|| {
            let read = TorchModel::open(name, &train, Some(&eval));
            let read = read.map_err(|e| errors::of_torch(&e.into()))?;
            let captured = read.captured(DType::Fp16);
            let Captured {
                model, counters
            } = captured.map_err(|e| errors::of_torch(&e))?;
            let counters = counters.into_iter().map(|c| match c.step {
                Some(step) => Ok((c.path, step)),
                None => Err(UnsupportedError::new_err(format!(
                    "the buffer `{}` changes in the forward pass in another way than by counting steps; change it \
                     outside of the model",
                    c.path
                ))),
            });
            Ok(Self {
                origin: Origin::PyTorch {
                    counters: counters.collect::<PyResult<_>>()?,
                },
                model,
            })
        })
    }

    /// Names of the inputs, with the shape of one example and its element type.
    #[getter]
    fn inputs(&self) -> Vec<(String, Vec<usize>, String)> {
        let g = &self.model.train;
        let each = g.inputs.iter();
        each.map(|&v| {
            let ty = g.graph.ty(v);
            let shape = ty.shape.dims()[1..].to_vec();
            (g.graph.port(v).to_owned(), shape, ty.dtype.to_string())
        })
        .collect()
    }

    /// Whether the target is classes by number, and not a row of real numbers.
    #[getter]
    fn sparse(&self) -> bool {
        let losses = self.compiled().map_or(&[][..], |c| &c.losses);
        losses.iter().any(|loss| loss.sparse)
    }

    /// What Keras's logs call the metrics.
    #[getter]
    fn metrics(&self) -> Vec<String> {
        let metrics = self.compiled().map_or(&[][..], |c| &c.metrics);
        metrics.iter().map(|m| m.name.clone()).collect()
    }

    /// Path and role, `parameter`, `buffer` or `unused`, of Keras's weights in its order.
    #[getter]
    fn weights(&self) -> Vec<(String, &'static str)> {
        match &self.origin {
            Origin::Keras { weights, .. } => weights.clone(),
            Origin::PyTorch { .. } => Vec::new(),
        }
    }

    /// Of PyTorch: buffers that every training step counts up, and by how much.
    #[getter]
    fn counters(&self) -> Vec<(String, i64)> {
        match &self.origin {
            Origin::Keras { .. } => Vec::new(),
            Origin::PyTorch { counters, .. } => counters.clone(),
        }
    }

    /// Paths of the parameters that a step changes, in the model's own order.
    #[getter]
    fn trained(&self) -> Vec<String> {
        let each = self.model.parameters.iter().filter(|p| p.trainable);
        each.map(|p| p.path.clone()).collect()
    }

    /// Other paths of parameters, each with the path that it is told by.
    #[getter]
    fn tied(&self) -> Vec<(String, String)> {
        let kept = self.model.kept.iter();
        kept.filter_map(|k| match &k.values {
            model::KeptValues::SameAs(path) => Some((k.path.clone(), path.clone())),
            _ => None,
        })
        .collect()
    }

    /// Paths of the parameters in the model's own order.
    #[getter]
    fn parameters(&self) -> Vec<String> {
        let each = self.model.parameters.iter();
        each.map(|p| p.path.clone()).collect()
    }

    /// Paths of the buffers in the model's own order.
    #[getter]
    fn buffers(&self) -> Vec<String> {
        let each = self.model.buffers.iter();
        each.map(|b| b.path.clone()).collect()
    }
}
