//! A forward graph and its backward graph, as PyTorch calls them.

use crate::{
    arrays::{Elements, ElementsMut, Given, Taken},
    cotangent_scale::{CotangentScale, largest},
    errors::{self, InputError},
    session::{Shared, locked},
};
use ane_import::{
    aten,
    program::{Imported, Output},
};
use ane_train::{
    call::{self, Direction},
    stage::Staged,
};
use pyo3::{prelude::*, types::PyDict};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// A call's buffers on their way back, since the thread that lets go of them may not wait for the device.
type Returned = Arc<Mutex<Vec<call::Call>>>;

/// A forward program and its backward program.
#[pyclass(frozen)]
pub(crate) struct Callable {
    shared: Shared,
    state: Mutex<State>,
    returned: Returned,
}

struct State {
    callable: call::Callable,
    forward: Imported,
    backward: Option<Backward>,
}

struct Backward {
    imported: Imported,
    /// Whether an input is a cotangent, which carries the scale; others are as the forward program left them.
    is_cotangent: Vec<bool>,
    /// Known with the first cotangents.
    scale: Option<CotangentScale>,
}

/// The buffers of a call, which lives as long as its gradients may be asked for.
#[pyclass(frozen)]
pub(crate) struct Call {
    call: Mutex<Option<call::Call>>,
    returned: Returned,
}

impl Drop for Call {
    fn drop(&mut self) {
        let held = self.call.get_mut().ok().and_then(Option::take);
        if let (Some(call), Ok(mut returned)) = (held, self.returned.lock()) {
            returned.push(call);
        }
    }
}

fn poisoned<T>(_: T) -> PyErr {
    errors::AneError::new_err("an earlier call failed; compile the function again to go on")
}

fn parsed(graph: &str) -> PyResult<aten::Graph> {
    aten::Graph::from_json(graph).map_err(|e| errors::of_import(&e))
}

impl Callable {
    pub(crate) fn compile(shared: Shared, graph: &str) -> PyResult<Self> {
        let forward = Imported::forward(&parsed(graph)?).map_err(|e| errors::of_import(&e))?;
        let session = locked(&shared)?;
        let callable = call::Callable::new(&session, &forward.graph);
        let callable = callable.map_err(|e| errors::of_trainer(&e))?;
        drop(session);
        Ok(Self {
            shared,
            state: Mutex::new(State {
                callable,
                forward,
                backward: None,
            }),
            returned: Returned::default(),
        })
    }
}

/// Writes what a program reads. Cotangents are multiplied by a factor.
fn write(
    call: &call::Call,
    imported: &Imported,
    arrays: &[Option<Elements<'_>>],
    wanted: impl Fn(&str) -> bool,
    factor: impl Fn(usize) -> f32,
) -> PyResult<()> {
    for input in &imported.inputs {
        if !wanted(&input.name) {
            continue;
        }
        let elements = arrays.get(input.index).copied().flatten();
        let elements = elements
            .ok_or_else(|| InputError::new_err(format!("input {} is not given", input.index)))?;
        let factor = factor(input.index);
        let written = match elements {
            Elements::Real(x) if factor == 1.0 => call.write(&input.name, x),
            Elements::Real(x) => {
                let scaled: Vec<f32> = x.iter().map(|e| e * factor).collect();
                call.write(&input.name, &scaled)
            }
            Elements::Integer(x) => call.write_integers(&input.name, x),
            Elements::Truth(x) => {
                let numbers: Vec<f32> = x.iter().map(|&b| f32::from(u8::from(b))).collect();
                call.write(&input.name, &numbers)
            }
        };
        written.map_err(|e| errors::of_trainer(&e))?;
    }
    Ok(())
}

fn write_masks(
    call: &call::Call,
    imported: &Imported,
    masks: &[Option<Elements<'_>>],
) -> PyResult<()> {
    for (random, mask) in imported.randoms.iter().zip(masks) {
        let Some(Elements::Real(mask)) = mask else {
            return Err(InputError::new_err("a mask is not of float32"));
        };
        call.write(&random.name, mask)
            .map_err(|e| errors::of_trainer(&e))?;
    }
    Ok(())
}

/// Reads results into arrays; whether all real numbers among them are finite.
fn read(
    call: &call::Call,
    imported: &Imported,
    arrays: &mut [Option<ElementsMut<'_>>],
    factor: f32,
) -> PyResult<bool> {
    let mut finite = true;
    for (output, array) in imported.outputs.iter().zip(arrays) {
        let (Output::Port { name, .. }, Some(array)) = (output, array) else {
            continue;
        };
        let done = match array {
            ElementsMut::Real(x) => call
                .read(name, factor, x)
                .map(|largest| finite &= largest.is_finite()),
            ElementsMut::Integer(x) => call.read_integers(name, x),
            ElementsMut::Truth(x) => {
                let mut numbers = vec![0.0; x.len()];
                let done = call.read(name, 1.0, &mut numbers).map(drop);
                for (b, n) in x.iter_mut().zip(numbers) {
                    *b = n != 0.0;
                }
                done
            }
        };
        done.map_err(|e| errors::of_trainer(&e))?;
    }
    Ok(finite)
}

fn given<'a>(arrays: &'a [Option<Given<'_>>]) -> PyResult<Vec<Option<Elements<'a>>>> {
    let each = arrays.iter();
    each.map(|a| a.as_ref().map(Given::elements).transpose())
        .collect()
}

fn taken<'a>(arrays: &'a mut [Option<Taken<'_>>]) -> PyResult<Vec<Option<ElementsMut<'a>>>> {
    let each = arrays.iter_mut();
    each.map(|a| a.as_mut().map(Taken::elements).transpose())
        .collect()
}

#[pymethods]
impl Callable {
    /// Compiles the backward graph. `ports` names, for every input, the port of the forward program that it is, or
    /// nothing for a cotangent.
    fn set_backward(
        &self,
        py: Python<'_>,
        graph: &str,
        ports: Vec<Option<String>>,
    ) -> PyResult<()> {
        py.detach(|| {
            let is_cotangent: Vec<bool> = ports.iter().map(Option::is_none).collect();
            let named = ports.into_iter().enumerate();
            let ports: HashMap<usize, String> =
                named.filter_map(|(i, port)| Some((i, port?))).collect();
            let imported = Imported::backward(&parsed(graph)?, ports);
            let imported = imported.map_err(|e| errors::of_import(&e))?;
            let session = locked(&self.shared)?;
            let mut state = self.state.lock().map_err(poisoned)?;
            let set = state.callable.set_backward(&session, &imported.graph);
            set.map_err(|e| errors::of_trainer(&e))?;
            state.backward = Some(Backward {
                imported,
                is_cotangent,
                scale: None,
            });
            Ok(())
        })
    }

    /// Positions of the inputs that the forward program reads.
    fn reads(&self) -> PyResult<Vec<usize>> {
        let state = self.state.lock().map_err(poisoned)?;
        Ok(state.forward.inputs.iter().map(|i| i.index).collect())
    }

    /// Positions of the inputs that the backward program reads and the forward program has not left on the device.
    fn backward_reads(&self) -> PyResult<Vec<usize>> {
        let state = self.state.lock().map_err(poisoned)?;
        let Some(backward) = &state.backward else {
            return Ok(Vec::new());
        };
        let left = &state.callable.forward().ports;
        let inputs = backward.imported.inputs.iter();
        Ok(inputs
            .filter(|i| !left.contains_key(&i.name))
            .map(|i| i.index)
            .collect())
    }

    /// Positions of all inputs that the backward program reads.
    fn backward_inputs(&self) -> PyResult<Vec<usize>> {
        let state = self.state.lock().map_err(poisoned)?;
        let backward = state.backward.as_ref();
        let inputs = backward.map_or(&[][..], |b| &b.imported.inputs);
        Ok(inputs.iter().map(|i| i.index).collect())
    }

    /// What every result of the forward program is: `port`, `none`, an input's position, or a whole number as text.
    fn results(&self) -> PyResult<Vec<String>> {
        let state = self.state.lock().map_err(poisoned)?;
        Ok(state.forward.outputs.iter().map(kind).collect())
    }

    /// What every result of the backward program is.
    fn backward_results(&self) -> PyResult<Vec<String>> {
        let state = self.state.lock().map_err(poisoned)?;
        let backward = state.backward.as_ref();
        Ok(backward.map_or(Vec::new(), |b| {
            b.imported.outputs.iter().map(kind).collect()
        }))
    }

    /// Shape and probability to keep of every mask that the forward or the backward program draws.
    fn masks(&self, backward: bool) -> PyResult<Vec<(Vec<usize>, f64)>> {
        let state = self.state.lock().map_err(poisoned)?;
        let imported = match (backward, &state.backward) {
            (false, _) => Some(&state.forward),
            (true, backward) => backward.as_ref().map(|b| &b.imported),
        };
        let randoms = imported.map_or(&[][..], |i| &i.randoms);
        Ok(randoms
            .iter()
            .map(|r| (r.shape.dims().to_vec(), r.keep))
            .collect())
    }

    /// Runs the forward program: inputs and results by position, those that are not asked for left out.
    fn forward(
        &self,
        py: Python<'_>,
        inputs: Vec<Option<Given<'_>>>,
        masks: Vec<Option<Given<'_>>>,
        mut outputs: Vec<Option<Taken<'_>>>,
    ) -> PyResult<Call> {
        let (arrays, masks) = (given(&inputs)?, given(&masks)?);
        let mut results = taken(&mut outputs)?;
        py.detach(|| {
            let session = locked(&self.shared)?;
            let mut state = self.state.lock().map_err(poisoned)?;
            let back: Vec<call::Call> = {
                let mut returned = self.returned.lock().map_err(poisoned)?;
                returned.drain(..).collect()
            };
            for call in back {
                state.callable.give_back(call);
            }
            let call = state.callable.check_out(&session);
            let mut call = call.map_err(|e| errors::of_trainer(&e))?;
            write(&call, &state.forward, &arrays, |_| true, |_| 1.0)?;
            write_masks(&call, &state.forward, &masks)?;
            call.run(&session, Direction::Forward)
                .map_err(|e| errors::of_trainer(&e))?;
            read(&call, &state.forward, &mut results, 1.0)?;
            Ok(Call {
                call: Mutex::new(Some(call)),
                returned: self.returned.clone(),
            })
        })
    }

    /// Runs the backward program of a call, or without a call where all of its inputs are given; whether all gradients are
    /// finite.
    #[pyo3(signature = (call, inputs, masks, outputs))]
    fn backward(
        &self,
        py: Python<'_>,
        call: Option<&Call>,
        inputs: Vec<Option<Given<'_>>>,
        masks: Vec<Option<Given<'_>>>,
        mut outputs: Vec<Option<Taken<'_>>>,
    ) -> PyResult<bool> {
        let (arrays, masks) = (given(&inputs)?, given(&masks)?);
        let mut results = taken(&mut outputs)?;
        py.detach(|| {
            let session = locked(&self.shared)?;
            let mut state = self.state.lock().map_err(poisoned)?;
            let state = &mut *state;
            let Some(backward) = &mut state.backward else {
                return Err(errors::AneError::new_err("there is no backward program"));
            };
            let alone = call.is_none();
            let mut own = match call {
                Some(_) => None,
                None => {
                    let own = state.callable.check_out(&session);
                    Some(own.map_err(|e| errors::of_trainer(&e))?)
                }
            };
            let mut held = call.map(|c| c.call.lock().map_err(poisoned)).transpose()?;
            let call = match (&mut own, &mut held) {
                (Some(own), _) => Some(own),
                (None, Some(held)) => held.as_mut(),
                (None, None) => None,
            };
            let Some(call) = call else {
                return Err(errors::AneError::new_err("the call was given back"));
            };
            state
                .callable
                .bind_backward(&session, call)
                .map_err(|e| errors::of_trainer(&e))?;
            let left = &state.callable.forward().ports;
            let mine = |name: &str| alone || !left.contains_key(name);
            let cotangents: Vec<&[f32]> = arrays
                .iter()
                .zip(&backward.is_cotangent)
                .filter_map(|(a, &is)| match a {
                    Some(Elements::Real(x)) if is => Some(*x),
                    _ => None,
                })
                .collect();
            let scale = backward
                .scale
                .get_or_insert_with(|| CotangentScale::for_first(&cotangents));
            let largest = largest(&cotangents);
            write_masks(call, &backward.imported, &masks)?;
            let finite = loop {
                let factor = scale.factor(largest);
                let of = |i: usize| match backward.is_cotangent.get(i) {
                    Some(true) => factor,
                    _ => 1.0,
                };
                write(call, &backward.imported, &arrays, mine, of)?;
                call.run(&session, Direction::Backward)
                    .map_err(|e| errors::of_trainer(&e))?;
                if read(call, &backward.imported, &mut results, 1.0 / factor)? {
                    scale.accept();
                    break true;
                }
                if !largest.is_finite() || !scale.lower() {
                    break false;
                }
            };
            drop(held);
            if let Some(own) = own {
                state.callable.give_back(own);
            }
            Ok(finite)
        })
    }

    /// What a result of the forward program is that stayed on the device.
    fn residual(
        &self,
        py: Python<'_>,
        call: &Call,
        index: usize,
        mut output: Taken<'_>,
    ) -> PyResult<()> {
        let elements = output.elements()?;
        py.detach(|| {
            let state = self.state.lock().map_err(poisoned)?;
            let held = call.call.lock().map_err(poisoned)?;
            let Some(call) = held.as_ref() else {
                return Err(errors::AneError::new_err("the call was given back"));
            };
            let mut results: Vec<Option<ElementsMut<'_>>> =
                state.forward.outputs.iter().map(|_| None).collect();
            if let Some(slot) = results.get_mut(index) {
                *slot = Some(elements);
            }
            read(call, &state.forward, &mut results, 1.0).map(|_| ())
        })
    }

    /// Where the nodes of both programs run.
    fn placement<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.state.lock().map_err(poisoned)?;
        let report = PyDict::new(py);
        let programs = [
            ("forward", Some(state.callable.forward())),
            ("backward", state.callable.backward()),
        ];
        for (name, staged) in programs {
            if let Some(staged) = staged {
                report.set_item(name, staged_report(py, staged)?)?;
            }
        }
        report.set_item("buffer_sets", state.callable.sets())?;
        let scale = state.backward.as_ref().and_then(|b| b.scale);
        report.set_item("scale_exponent", scale.map(CotangentScale::exponent))?;
        Ok(report)
    }
}

fn staged_report<'py>(py: Python<'py>, staged: &Staged) -> PyResult<Bound<'py, PyDict>> {
    let report = PyDict::new(py);
    report.set_item("stages", staged.stages.len())?;
    report.set_item("engine_programs", staged.engine.len())?;
    report.set_item("host_programs", staged.host.len())?;
    let nodes: Vec<(&str, &str, &str)> = staged
        .host_nodes
        .iter()
        .map(|n| (n.op, n.place.as_str(), n.reason.as_str()))
        .collect();
    report.set_item("host_nodes", nodes)?;
    Ok(report)
}

fn kind(output: &Output) -> String {
    match output {
        Output::Port { .. } => "port".to_owned(),
        Output::Input(i) => format!("input {i}"),
        Output::Int(i) => format!("int {i}"),
        Output::None => "none".to_owned(),
        Output::Missing(op) => format!("missing {op}"),
    }
}
