//! Models of Keras, imported with what `model.compile` was given.

use crate::errors::UnsupportedError;
use ane_import::keras::{
    self, KerasError, Options, Role,
    compile::{self, Compiled},
};
use ane_ir::DType;
use ane_train::{
    model,
    objective::{Objective, Term},
};
use pyo3::prelude::*;

/// What Python calls the target of the loss.
const TARGET: &str = "target";

/// A model at a fixed batch size, and how it is trained.
#[pyclass(frozen)]
pub(crate) struct Model {
    pub(crate) model: model::Model,
    pub(crate) compiled: Compiled,
    /// Path and role of every tensor of Keras's own list of weights.
    weights: Vec<(String, &'static str)>,
}

fn refused(error: KerasError) -> PyErr {
    UnsupportedError::new_err(error.to_string())
}

impl Model {
    /// The sum of the losses.
    pub(crate) fn objective(&self) -> Objective {
        let losses = self.compiled.losses.iter().zip(&self.model.train.outputs);
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
        let target = if self.sparse() {
            DType::Int32
        } else {
            DType::Fp16
        };
        types.push((TARGET.to_owned(), target));
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
                weights: weights.map(|w| (w.path, role(w.role))).collect(),
                compiled,
                model: imported.model,
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
        self.compiled.losses.iter().any(|loss| loss.sparse)
    }

    /// What Keras's logs call the metrics.
    #[getter]
    fn metrics(&self) -> Vec<String> {
        let each = self.compiled.metrics.iter();
        each.map(|m| m.name.clone()).collect()
    }

    /// Path and role, `parameter`, `buffer` or `unused`, of Keras's weights in its order.
    #[getter]
    fn weights(&self) -> Vec<(String, &'static str)> {
        self.weights.clone()
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
