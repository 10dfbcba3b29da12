//! Operations: a function with buffers at its ports.
//!
//! A function is loaded by its first operation and unloaded when the last one is gone; both operations of a function
//! count as one loaded program. Creating an operation is the event that can fail to load, releasing one the event that
//! can fail to unload.
//!
//! A port is bound to a buffer, and may be bound anew while the operation is in no stream. Encoding needs every port
//! bound. An operation that was in a stream before must be prepared before it is encoded into another, or into the same
//! one after a reset; `prepare_op_for_encode` refuses one that was never encoded ("Op has not been encoded and hence
//! cannot be reset to 'ReadyForEncode'", aneforge). A buffer that is bound to an output and to an input of the same
//! operation is state: the operation reads what it held and leaves the next value in it. The environment can make such
//! outputs not-a-numbers instead.
//!
//! A program that was compiled for another chip is refused when an operation is made of it, unless the environment lets
//! every chip's programs run.

use crate::{
    buffer::Buffer,
    compiler::{ProgramFunction, RetainedFunction},
    error::E5rtError,
    event::AsyncEvent,
    handles::{Handle, Kind},
    runtime::{Runtime, leak},
};
use ane_engine::{Port as PlanPort, SharedBuffer};
use ane_standin::{Event, Execution, Fault, InPlace, Loaded, LoadedSlot, TooManyLoaded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Whether a function is loaded.
#[derive(Debug)]
pub(crate) struct LoadState {
    counted: bool,
    slot: Mutex<Weak<LoadedSlot>>,
}

impl LoadState {
    /// Of a function that counts against the limit, or does not.
    pub(crate) fn new(counted: bool) -> Self {
        Self {
            counted,
            slot: Mutex::default(),
        }
    }

    /// The function's place, taken if it has none yet.
    fn load(&self, loaded: &Loaded) -> Result<Option<Arc<LoadedSlot>>, TooManyLoaded> {
        if !self.counted {
            return Ok(None);
        }
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slot.upgrade() {
            return Ok(Some(slot));
        }
        let taken = Arc::new(loaded.take()?);
        *slot = Arc::downgrade(&taken);
        Ok(Some(taken))
    }
}

/// How operations are made.
#[derive(Debug)]
struct OperationOptions {
    function: Arc<ProgramFunction>,
    name: Mutex<String>,
}

impl Kind for OperationOptions {
    const NAME: &'static str = "operation options";
}

/// A function that can be put into streams.
#[derive(Debug)]
pub(crate) struct Operation {
    name: String,
    function: Arc<ProgramFunction>,
    slot: Option<Arc<LoadedSlot>>,
    state: Mutex<State>,
}

impl Kind for Operation {
    const NAME: &'static str = "operation";
}

#[derive(Debug)]
struct State {
    inputs: Vec<Option<SharedBuffer>>,
    outputs: Vec<Option<SharedBuffer>>,
    /// Made from the bound buffers when it is first encoded.
    execution: Option<Arc<Mutex<Execution>>>,
    ready: Ready,
    completion: Option<Arc<AsyncEvent>>,
    dependents: Vec<Arc<AsyncEvent>>,
    /// How often it stands in streams.
    encoded: usize,
    released: bool,
}

/// Whether an operation can be put into a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    /// It never was in one, or was prepared since.
    ForEncode,
    /// It has been in one and not been prepared since.
    Encoded,
}

/// A named place for a buffer.
#[derive(Debug)]
struct Port {
    operation: Arc<Operation>,
    index: usize,
    is_input: bool,
}

impl Kind for Port {
    const NAME: &'static str = "port";
}

/// An operation in a stream, with everything it had when it was put there.
#[derive(Debug)]
pub(crate) struct Encoded {
    operation: Arc<Operation>,
    pub(crate) execution: Arc<Mutex<Execution>>,
    pub(crate) completion: Option<Arc<AsyncEvent>>,
    pub(crate) dependents: Vec<Arc<AsyncEvent>>,
}

impl Drop for Encoded {
    fn drop(&mut self) {
        self.operation.lock().encoded -= 1;
    }
}

impl Encoded {
    pub(crate) fn name(&self) -> &str {
        &self.operation.name
    }
}

impl Operation {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ports(&self, is_input: bool) -> &[PlanPort] {
        let function = &self.function.function;
        if is_input {
            function.inputs()
        } else {
            function.outputs()
        }
    }

    /// The state, if the operation stands in no stream.
    fn unencoded(&self, call: &'static str) -> Result<MutexGuard<'_, State>, E5rtError> {
        let state = self.lock();
        if state.encoded > 0 {
            let reason = format!("operation `{}` is encoded; reset its stream", self.name);
            return Err(E5rtError::order(call, reason));
        }
        Ok(state)
    }

    fn bind(&self, port: &Port, buffer: &Buffer) -> Result<(), E5rtError> {
        let call = "bind a port";
        let described = &self.ports(port.is_input)[port.index];
        let (expected, found) = (described.ty.bytes(), buffer.shared.len());
        if found < expected {
            return Err(E5rtError::BufferSize {
                port: described.name.clone(),
                expected,
                found,
            });
        }
        let mut state = self.unencoded(call)?;
        if state.released {
            let reason = format!("operation `{}` was released", self.name);
            return Err(E5rtError::order(call, reason));
        }
        let state = &mut *state;
        let place = if port.is_input {
            &mut state.inputs[port.index]
        } else {
            &mut state.outputs[port.index]
        };
        // Binding again what is bound changes nothing.
        if !place.as_ref().is_some_and(|b| b.same_as(&buffer.shared)) {
            *place = Some(buffer.shared.clone());
            state.execution = None;
        }
        Ok(())
    }

    fn prepare(&self) -> Result<(), E5rtError> {
        let call = "prepare an operation";
        let mut state = self.unencoded(call)?;
        if state.ready == Ready::ForEncode {
            let reason = format!(
                "operation `{}` has not been encoded and hence cannot be reset to ReadyForEncode",
                self.name
            );
            return Err(E5rtError::order(call, reason));
        }
        state.ready = Ready::ForEncode;
        Ok(())
    }

    /// What an execution needs, with the buffers that are bound now.
    fn execution(
        &self,
        state: &mut State,
        threads: usize,
        in_place: InPlace,
    ) -> Result<Arc<Mutex<Execution>>, E5rtError> {
        if let Some(execution) = &state.execution {
            return Ok(execution.clone());
        }
        let bound = |is_input: bool, places: &[Option<SharedBuffer>]| {
            let all = self.ports(is_input).iter().zip(places);
            all.map(|(port, buffer)| {
                buffer.clone().ok_or_else(|| {
                    let reason = format!("port `{}` is not bound to a buffer", port.name);
                    E5rtError::order("encode an operation", reason)
                })
            })
            .collect::<Result<Vec<_>, _>>()
        };
        let (inputs, outputs) = (bound(true, &state.inputs)?, bound(false, &state.outputs)?);
        let function = &self.function.function;
        let execution = function.bind(&inputs, &outputs, threads, in_place)?;
        let execution = Arc::new(Mutex::new(execution));
        state.execution = Some(execution.clone());
        Ok(execution)
    }

    pub(crate) fn encode(
        self: &Arc<Self>,
        threads: usize,
        in_place: InPlace,
    ) -> Result<Encoded, E5rtError> {
        let mut state = self.lock();
        if state.encoded == 0 && state.ready == Ready::Encoded {
            let reason = format!(
                "operation `{}` was encoded before; call prepare_op_for_encode",
                self.name
            );
            return Err(E5rtError::order("encode an operation", reason));
        }
        let execution = self.execution(&mut state, threads, in_place)?;
        state.ready = Ready::Encoded;
        state.encoded += 1;
        Ok(Encoded {
            operation: self.clone(),
            execution,
            completion: state.completion.clone(),
            dependents: state.dependents.clone(),
        })
    }
}

impl Runtime {
    /// Options to make operations of a function.
    ///
    /// # Errors
    /// When the handle is not a function's.
    pub fn operation_options_create(&self, function: Handle) -> Result<Handle, E5rtError> {
        let function = self.handles.get::<RetainedFunction>(function)?.0.clone();
        let name = Mutex::new(function.function.name().to_owned());
        Ok(self.handles.insert(OperationOptions { function, name }))
    }

    /// The name that operations have in messages.
    ///
    /// # Errors
    /// When the handle is not that of operation options.
    pub fn operation_options_set_name(&self, options: Handle, name: &str) -> Result<(), E5rtError> {
        let options = self.handles.get::<OperationOptions>(options)?;
        name.clone_into(&mut options.name.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// Intermediate values have memory in any case; sources only ever pass 1.
    ///
    /// # Errors
    /// When the handle is not that of operation options, or the value is neither 0 nor 1.
    pub fn operation_options_set_allocate_intermediate_buffers(
        &self,
        options: Handle,
        value: i32,
    ) -> Result<(), E5rtError> {
        self.handles.get::<OperationOptions>(options)?;
        match value {
            0 | 1 => Ok(()),
            found => Err(E5rtError::value("allocate", found, "0 or 1")),
        }
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// When the handle is not that of operation options.
    pub fn operation_options_release(&self, options: Handle) -> Result<(), E5rtError> {
        self.release::<OperationOptions>(options)
    }

    /// An operation, which loads its function if that is not loaded.
    ///
    /// # Errors
    /// When the handle is not that of operation options, the program is for another chip, or no more programs can be
    /// loaded.
    pub fn operation_create(&self, options: Handle) -> Result<Handle, E5rtError> {
        let options = self.handles.get::<OperationOptions>(options)?;
        let function = options.function.clone();
        let host = self.environment.chip;
        if let Some(chip) = function.chip.filter(|&chip| chip != host)
            && !self.environment.any_chip
        {
            return Err(E5rtError::Architecture { chip, host });
        }
        let fault = self.environment.faults.at(Event::Load).map(Fault::act);
        if matches!(fault, Some(Fault::Fail | Fault::Corrupt)) {
            return Err(E5rtError::Planned { event: Event::Load });
        }
        let slot = function.load.load(&self.loaded)?;
        if fault == Some(Fault::Leak) {
            std::mem::forget(slot.clone());
        }
        leak(fault);
        let name = options.name.lock().unwrap_or_else(PoisonError::into_inner);
        let state = State {
            inputs: vec![None; function.function.inputs().len()],
            outputs: vec![None; function.function.outputs().len()],
            execution: None,
            ready: Ready::ForEncode,
            completion: None,
            dependents: Vec::new(),
            encoded: 0,
            released: false,
        };
        Ok(self.handles.insert(Operation {
            name: name.clone(),
            function,
            slot,
            state: Mutex::new(state),
        }))
    }

    /// A port of an operation, by name.
    ///
    /// # Errors
    /// When the handle is not an operation's, or it has no such port.
    pub fn operation_retain_port(
        &self,
        operation: Handle,
        name: &str,
        is_input: bool,
    ) -> Result<Handle, E5rtError> {
        let operation = self.handles.get::<Operation>(operation)?;
        let ports = operation.ports(is_input);
        let index = ports.iter().position(|p| p.name == name);
        let index = index.ok_or_else(|| E5rtError::Name {
            what: if is_input {
                "input port"
            } else {
                "output port"
            },
            name: name.to_owned(),
            known: ports.iter().map(|p| p.name.clone()).collect(),
        })?;
        Ok(self.handles.insert(Port {
            operation,
            index,
            is_input,
        }))
    }

    /// Binds a buffer, at least as large as the port, for executions to come.
    ///
    /// # Errors
    /// When a handle is of another kind, the buffer is too small, or the operation is encoded or released.
    pub fn port_bind_buffer(&self, port: Handle, buffer: Handle) -> Result<(), E5rtError> {
        let port = self.handles.get::<Port>(port)?;
        let buffer = self.handles.get::<Buffer>(buffer)?;
        port.operation.bind(&port, &buffer)
    }

    /// Gives the handle back; the port stays bound.
    ///
    /// # Errors
    /// When the handle is not a port's.
    pub fn port_release(&self, port: Handle) -> Result<(), E5rtError> {
        self.release::<Port>(port)
    }

    /// Makes an operation that was encoded ready to be encoded again.
    ///
    /// # Errors
    /// When the handle is not an operation's, or the operation is encoded now or never was.
    pub fn operation_prepare(&self, operation: Handle) -> Result<(), E5rtError> {
        self.handles.get::<Operation>(operation)?.prepare()
    }

    /// The event that is signalled when an execution of the operation ends.
    ///
    /// # Errors
    /// When a handle is of another kind, or the operation is encoded.
    pub fn operation_bind_completion_event(
        &self,
        operation: Handle,
        event: Handle,
    ) -> Result<(), E5rtError> {
        let operation = self.handles.get::<Operation>(operation)?;
        let event = self.handles.get::<AsyncEvent>(event)?;
        operation.unencoded("bind a completion event")?.completion = Some(event);
        Ok(())
    }

    /// The events that executions of the operation wait for; they replace those bound before.
    ///
    /// # Errors
    /// When a handle is of another kind, or the operation is encoded.
    pub fn operation_bind_dependent_events(
        &self,
        operation: Handle,
        events: &[Handle],
    ) -> Result<(), E5rtError> {
        let operation = self.handles.get::<Operation>(operation)?;
        let events = events.iter().map(|&e| self.handles.get::<AsyncEvent>(e));
        let events = events.collect::<Result<_, _>>()?;
        operation.unencoded("bind dependent events")?.dependents = events;
        Ok(())
    }

    /// Gives the handle back, and unloads the function with its last operation.
    ///
    /// # Errors
    /// When the handle is not an operation's, or the operation is encoded.
    pub fn operation_release(&self, operation: Handle) -> Result<(), E5rtError> {
        let found = self.handles.get::<Operation>(operation)?;
        drop(found.unencoded("release an operation")?);
        let fault = self.environment.faults.at(Event::Unload).map(Fault::act);
        if fault == Some(Fault::Fail) {
            return Err(E5rtError::Planned {
                event: Event::Unload,
            });
        }
        if fault == Some(Fault::Leak) {
            std::mem::forget(found.slot.clone());
        }
        leak(fault);
        found.lock().released = true;
        self.release::<Operation>(operation)
    }
}
