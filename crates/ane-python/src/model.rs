//! Models of other frameworks, imported.

use crate::errors::UnsupportedError;
use ane_import::keras::{self, Head, Options, Role};
use ane_train::model;
use pyo3::prelude::*;

/// A model at a fixed batch size.
#[pyclass(frozen)]
pub(crate) struct Model {
    pub(crate) model: model::Model,
    /// Path and role of every tensor of the framework's own list of weights.
    weights: Vec<(String, &'static str)>,
    heads: Vec<Option<&'static str>>,
}

#[pymethods]
impl Model {
    /// A model of Keras's configuration, for batches of `batch` rows. With `logits` a final softmax or sigmoid is left out.
    #[staticmethod]
    #[pyo3(signature = (config, batch, logits, input_shapes=None))]
    fn from_keras(
        py: Python<'_>,
        config: &str,
        batch: usize,
        logits: bool,
        input_shapes: Option<Vec<Vec<usize>>>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let options = Options {
                logits,
                input_shapes,
                ..Options::new(batch)
            };
            let imported = keras::import(config.as_bytes(), &options)
                .map_err(|e| UnsupportedError::new_err(e.to_string()))?;
            let role = |role| match role {
                Role::Parameter => "parameter",
                Role::Buffer => "buffer",
                Role::Unused => "unused",
            };
            let head = |head| match head {
                Head::Softmax => "softmax",
                Head::Sigmoid => "sigmoid",
            };
            let weights = imported.weights.into_iter();
            Ok(Self {
                weights: weights.map(|w| (w.path, role(w.role))).collect(),
                heads: (imported.outputs.iter())
                    .map(|o| o.head.map(head))
                    .collect(),
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

    /// Names of the outputs, with the shape of one example.
    #[getter]
    fn outputs(&self) -> Vec<(String, Vec<usize>)> {
        let g = &self.model.train;
        let each = g.outputs.iter();
        each.map(|(name, v)| (name.clone(), g.graph.ty(*v).shape.dims()[1..].to_vec()))
            .collect()
    }

    /// The activation that was left out at every output: `softmax`, `sigmoid` or nothing.
    #[getter]
    fn heads(&self) -> Vec<Option<&'static str>> {
        self.heads.clone()
    }

    /// Path and role, `parameter`, `buffer` or `unused`, of the framework's weights in its order.
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

    /// Rows of a batch.
    #[getter]
    fn batch(&self) -> usize {
        self.model.batch
    }
}
