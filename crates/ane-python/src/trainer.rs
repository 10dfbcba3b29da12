//! A model in training, one step at a time.

use crate::{
    arrays::{Elements, Given},
    errors::{AneError, InputError, of_trainer},
    model::Model,
    session::Opened,
};
use ane_engine::simd::Isa;
use ane_ir::DType;
use ane_train::{
    TrainerConfig,
    data::{Batch, Values},
    optim::OptimizerConfig,
    schedule::Schedule,
    step::PlanKind,
    update::{Groups, ParameterGroup},
};
use numpy::{PyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard};

/// A model in training on a device of its own.
#[pyclass(frozen)]
pub(crate) struct Trainer {
    trainer: Mutex<ane_train::Trainer>,
    rows: usize,
    /// Element types of the tensors of a batch, by name.
    types: Vec<(String, DType)>,
}

/// What came of a step: loss, `(sum, count)` of every metric, and whether it was skipped.
type Stepped = (f32, Vec<(f64, f64)>, bool);

fn failed<T>(_: T) -> PyErr {
    AneError::new_err("an earlier step failed; make a new trainer to go on")
}

#[pymethods]
impl Trainer {
    /// Compiles the training step of a model, on a device that is opened for it.
    #[new]
    #[pyo3(signature = (model, seed, device, target=None, threads=None, optimizer=None))]
    fn new(
        py: Python<'_>,
        model: &Model,
        seed: u64,
        device: &str,
        target: Option<&str>,
        threads: Option<usize>,
        optimizer: Option<&str>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let optimizer = optimizer.map_or_else(|| Ok(model.optimizer()), settings)?;
            let Opened { device, pool } = Opened::new(device, target, threads)?;
            let config = TrainerConfig {
                model: model.model.clone(),
                objective: model.objective(),
                metrics: model.kinds_of_metrics(),
                units: Vec::new(),
                ema: None,
                plan: PlanKind::Split,
                optimizer,
                groups: Groups::default(),
                // Every step says its own.
                lr: 0.0,
                schedule: Schedule::Constant,
                total_steps: u64::MAX,
                max_norm: model.max_norm(),
                accumulate: 1,
                lowerings: Vec::new(),
                seed,
            };
            let trainer = ane_train::Trainer::new(config, device, pool, Isa::detect());
            Ok(Self {
                trainer: Mutex::new(trainer.map_err(|e| of_trainer(&e))?),
                rows: model.model.batch,
                types: model.types(),
            })
        })
    }

    /// One step with a learning rate: arrays by name, and a weight for every example where they differ.
    #[pyo3(signature = (tensors, present, lr, weights=None, divisor=None))]
    fn step(
        &self,
        py: Python<'_>,
        tensors: Vec<(String, Given<'_>)>,
        present: usize,
        lr: f64,
        weights: Option<PyReadonlyArrayDyn<'_, f32>>,
        divisor: Option<f32>,
    ) -> PyResult<Stepped> {
        let batch = self.batch(&tensors, present, weights, divisor)?;
        py.detach(|| {
            let mut trainer = self.trainer.lock().map_err(failed)?;
            trainer.set_lr(lr);
            let outcome = trainer.train_step(&[batch]).map_err(|e| of_trainer(&e))?;
            let tallies = outcome.tallies.iter().map(|t| (t.sum, t.count)).collect();
            Ok((outcome.loss, tallies, outcome.overflow))
        })
    }

    /// Loss, metrics and outputs of a batch, as [`Trainer::predict`] gives these, changing nothing.
    #[allow(clippy::type_complexity, reason = "a list of names with arrays")]
    #[pyo3(signature = (tensors, present, weights=None))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        tensors: Vec<(String, Given<'_>)>,
        present: usize,
        weights: Option<PyReadonlyArrayDyn<'_, f32>>,
    ) -> PyResult<(
        f32,
        Vec<(f64, f64)>,
        Vec<(String, Bound<'py, PyArray1<f32>>)>,
    )> {
        let batch = self.batch(&tensors, present, weights, None)?;
        let found = py.detach(|| {
            let mut trainer = self.trainer.lock().map_err(failed)?;
            trainer.evaluate(&batch).map_err(|e| of_trainer(&e))
        })?;
        let tallies = found.tallies.iter().map(|t| (t.sum, t.count)).collect();
        let outputs = found.outputs.into_iter();
        let outputs = outputs.map(|(name, values)| (name, PyArray1::from_vec(py, values)));
        Ok((found.loss, tallies, outputs.collect()))
    }

    /// Loss, loss scale and, by position of the parameter, gradients of a batch with nothing dropped, changing nothing.
    #[allow(clippy::type_complexity, reason = "a list of positions with arrays")]
    fn probe<'py>(
        &self,
        py: Python<'py>,
        tensors: Vec<(String, Given<'_>)>,
        present: usize,
    ) -> PyResult<(f32, f32, Vec<(usize, Bound<'py, PyArray1<f32>>)>)> {
        let batch = self.batch(&tensors, present, None, None)?;
        let found = py.detach(|| {
            let mut trainer = self.trainer.lock().map_err(failed)?;
            trainer.probe(&batch).map_err(|e| of_trainer(&e))
        })?;
        let gradients = found.gradients.into_iter();
        let gradients = gradients.map(|(at, values)| (at, PyArray1::from_vec(py, values)));
        Ok((found.loss, found.loss_scale, gradients.collect()))
    }

    /// Replaces all groups of parameters: settings of an optimizer as JSON, learning rate, updates made before, and
    /// positions of the parameters. What is in none is not updated.
    fn set_groups(
        &self,
        py: Python<'_>,
        groups: Vec<(String, f64, u64, Vec<usize>)>,
    ) -> PyResult<()> {
        py.detach(|| {
            let groups = groups
                .into_iter()
                .map(|(optimizer, lr, updates, parameters)| {
                    Ok(ParameterGroup {
                        optimizer: settings(&optimizer)?,
                        lr,
                        updates,
                        parameters,
                    })
                });
            let groups = groups.collect::<PyResult<Vec<_>>>()?;
            let mut trainer = self.trainer.lock().map_err(failed)?;
            trainer.set_groups(&groups).map_err(|e| of_trainer(&e))
        })
    }

    /// What the optimizer keeps: PyTorch's name of the state, path of the parameter, and the elements, flat.
    #[allow(clippy::type_complexity, reason = "a list of names with arrays")]
    fn optimizer_state<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(String, String, Bound<'py, PyArray1<f32>>)>> {
        let state = py.detach(|| {
            let trainer = self.trainer.lock().map_err(failed)?;
            trainer.optimizer_state().map_err(|e| of_trainer(&e))
        })?;
        let arrays = state.into_iter();
        Ok(arrays
            .map(|(role, path, values)| (role, path, PyArray1::from_vec(py, values)))
            .collect())
    }

    /// Replaces what the optimizer keeps, by zeros where nothing is given.
    fn set_optimizer_state(
        &self,
        py: Python<'_>,
        state: Vec<(String, String, PyReadonlyArrayDyn<'_, f32>)>,
    ) -> PyResult<()> {
        let state = state.iter().map(|(role, path, array)| {
            let elements = array.as_slice().map_err(|_| scattered())?;
            Ok((role.clone(), path.clone(), elements.to_vec()))
        });
        let state = state.collect::<PyResult<Vec<_>>>()?;
        py.detach(|| {
            let mut trainer = self.trainer.lock().map_err(failed)?;
            let set = trainer.set_optimizer_state(&state);
            set.map_err(|e| of_trainer(&e))
        })
    }

    /// Goes on from where another trainer of the same model stands, whose batches have another number of rows.
    fn continue_from(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        py.detach(|| {
            let (progress, state) = {
                let other = other.trainer.lock().map_err(failed)?;
                let state = other.state().map_err(|e| of_trainer(&e))?;
                (*other.progress(), state)
            };
            let mut trainer = self.trainer.lock().map_err(failed)?;
            let restored = trainer.restore(progress, &state);
            restored.map_err(|e| of_trainer(&e))
        })
    }

    /// The outputs of a batch by name, flat, `present` rows of each.
    #[allow(clippy::type_complexity, reason = "a list of names with arrays")]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        tensors: Vec<(String, Given<'_>)>,
        present: usize,
    ) -> PyResult<Vec<(String, Bound<'py, PyArray1<f32>>)>> {
        let batch = self.batch(&tensors, present, None, None)?;
        let outputs = py.detach(|| {
            let mut trainer = self.trainer.lock().map_err(failed)?;
            trainer.predict(&batch).map_err(|e| of_trainer(&e))
        })?;
        let arrays = outputs.into_iter();
        Ok(arrays
            .map(|(name, values)| (name, PyArray1::from_vec(py, values)))
            .collect())
    }

    /// Weights and running statistics by path, flat.
    #[allow(clippy::type_complexity, reason = "a list of names with arrays")]
    fn weights<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(String, Vec<usize>, Bound<'py, PyArray1<f32>>)>> {
        let weights = py.detach(|| {
            let trainer = self.trainer.lock().map_err(failed)?;
            trainer.weights().map_err(|e| of_trainer(&e))
        })?;
        let arrays = weights.into_iter();
        Ok(arrays
            .map(|(path, shape, values)| (path, shape, PyArray1::from_vec(py, values)))
            .collect())
    }

    /// Replaces all weights, in the model's order, and all running statistics.
    fn set_weights(
        &self,
        py: Python<'_>,
        weights: Vec<PyReadonlyArrayDyn<'_, f32>>,
        buffers: Vec<PyReadonlyArrayDyn<'_, f32>>,
    ) -> PyResult<()> {
        let values = |arrays: &[PyReadonlyArrayDyn<'_, f32>]| -> PyResult<Vec<Vec<f32>>> {
            let each = arrays.iter();
            each.map(|a| {
                let elements = a.as_slice().map_err(|_| scattered())?;
                Ok(elements.to_vec())
            })
            .collect()
        };
        let (weights, buffers) = (values(&weights)?, values(&buffers)?);
        py.detach(|| {
            let mut trainer = self.trainer.lock().map_err(failed)?;
            trainer.set_weights(&weights).map_err(|e| of_trainer(&e))?;
            trainer.set_buffers(&buffers).map_err(|e| of_trainer(&e))
        })
    }

    /// The device's name, its target, programs compiled and programs run.
    fn report(&self, py: Python<'_>) -> PyResult<(String, String, u64, u64)> {
        py.detach(|| {
            let trainer = self.trainer.lock().map_err(failed)?;
            let device = trainer.device();
            let counts = device.counts();
            let target = device.target().to_string();
            Ok((
                device.name().to_owned(),
                target,
                counts.compiles,
                counts.dispatches,
            ))
        })
    }
}

/// Settings of an optimizer, from JSON.
fn settings(json: &str) -> PyResult<OptimizerConfig> {
    serde_json::from_str(json).map_err(|e| InputError::new_err(format!("the optimizer: {e}")))
}

fn scattered() -> PyErr {
    InputError::new_err("an array is not contiguous; expected one from numpy.ascontiguousarray")
}

impl Trainer {
    /// The trainer itself, for who works on what it has learned.
    pub(crate) fn locked(&self) -> PyResult<MutexGuard<'_, ane_train::Trainer>> {
        self.trainer.lock().map_err(failed)
    }

    fn batch(
        &self,
        tensors: &[(String, Given<'_>)],
        present: usize,
        weights: Option<PyReadonlyArrayDyn<'_, f32>>,
        divisor: Option<f32>,
    ) -> PyResult<Batch> {
        if present == 0 || present > self.rows {
            return Err(InputError::new_err(format!(
                "{present} examples do not fit a batch of {} rows",
                self.rows
            )));
        }
        let mut batch = Batch::new(self.rows, present);
        for (name, array) in tensors {
            let found = self.types.iter().find(|(n, _)| n == name);
            let Some(&(_, dtype)) = found else {
                return Err(InputError::new_err(format!("there is no tensor `{name}`")));
            };
            let values = values_of(name, array.elements()?, dtype, self.rows, present)?;
            batch.set(name, values);
        }
        if let Some(weights) = weights {
            let weights = weights
                .as_slice()
                .map_err(|_| InputError::new_err("the weights of examples are not contiguous"))?;
            if weights.len() != present {
                return Err(InputError::new_err(format!(
                    "{} weights for {present} examples",
                    weights.len()
                )));
            }
            batch.weigh(weights);
        }
        if let Some(divisor) = divisor {
            batch.divisor = divisor;
        }
        Ok(batch)
    }
}

/// The rows of an array in the type that the program has, with zeros for rows that are padding.
fn values_of(
    name: &str,
    elements: Elements<'_>,
    dtype: DType,
    rows: usize,
    present: usize,
) -> PyResult<Values> {
    let count = match elements {
        Elements::Real(x) => x.len(),
        Elements::Integer(x) => x.len(),
        Elements::Truth(x) => x.len(),
    };
    if !count.is_multiple_of(present) {
        return Err(InputError::new_err(format!(
            "`{name}` has {count} elements, which are no rows of {present} examples"
        )));
    }
    let total = count / present * rows;
    let wrong = || InputError::new_err(format!("`{name}` should be of {dtype}"));
    Ok(match (dtype, elements) {
        (DType::Fp16, Elements::Real(x)) => {
            let mut bits = vec![0; total];
            ane_engine::simd::narrow(Isa::detect(), x, &mut bits[..count]);
            Values::Fp16(bits)
        }
        (DType::Fp16, Elements::Integer(x)) => {
            let real: Vec<f32> = x.iter().map(|&i| i as f32).collect();
            let mut bits = vec![0; total];
            ane_engine::simd::narrow(Isa::detect(), &real, &mut bits[..count]);
            Values::Fp16(bits)
        }
        (DType::Fp16, Elements::Truth(x)) => {
            let real: Vec<f32> = x.iter().map(|&b| f32::from(u8::from(b))).collect();
            let mut bits = vec![0; total];
            ane_engine::simd::narrow(Isa::detect(), &real, &mut bits[..count]);
            Values::Fp16(bits)
        }
        (DType::Int32, Elements::Integer(x)) => {
            let mut integers = vec![0; total];
            for (to, &from) in integers.iter_mut().zip(x) {
                *to = i32::try_from(from).map_err(|_| wrong())?;
            }
            Values::Int32(integers)
        }
        (DType::UInt8, Elements::Integer(x)) => {
            let mut bytes = vec![0; total];
            for (to, &from) in bytes.iter_mut().zip(x) {
                *to = u8::try_from(from).map_err(|_| wrong())?;
            }
            Values::UInt8(bytes)
        }
        _ => return Err(wrong()),
    })
}
