//! What the parent knows of a device in a worker: enough to build it again in a new one.

use super::{
    SupervisedError, Supervision,
    child::Child,
    mirror::Flags,
    protocol::{Opening, Released, Request, Response},
    shared_memory::{Mapping, SharedMemory, Span},
};
use crate::{Settings, device::Counter};
use ane_ir::{Target, TensorType};
use ane_mil::Program;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A device in a worker, its programs, buffers and bindings.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) device: &'static str,
    pub(super) supervision: Supervision,
    pub(super) counter: Counter,
    /// The target that was asked for.
    asked: Target,
    opening: Opening,
    state: Mutex<State>,
    lost: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// What the device said when it was opened first.
    opened: Option<OpenedAs>,
    memory: SharedMemory,
    child: Option<Child>,
    /// Why the device is lost, if it is.
    reason: Option<String>,
    programs: BTreeMap<u64, Arc<Program>>,
    buffers: BTreeMap<u64, BufferRecord>,
    bounds: BTreeMap<u64, BoundRecord>,
    last_number: u64,
    executions: u64,
    verify_next: bool,
}

/// What a device says about how it was opened.
#[derive(Debug, Clone, PartialEq)]
struct OpenedAs {
    target: Target,
    notes: Vec<String>,
}

impl std::fmt::Display for OpenedAs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.target)?;
        match self.notes.join("; ") {
            notes if notes.is_empty() => Ok(()),
            notes => write!(f, " ({notes})"),
        }
    }
}

#[derive(Debug)]
struct BufferRecord {
    ty: TensorType,
    span: Span,
    flags: Arc<Flags>,
}

/// Ports and the numbers of their buffers.
#[derive(Debug, Clone)]
pub(super) struct BoundRecord {
    pub(super) program: u64,
    pub(super) inputs: Vec<(String, u64)>,
    pub(super) outputs: Vec<(String, u64)>,
}

impl Session {
    /// Starts a worker and opens the device in it.
    pub(super) fn open(
        device: &'static str,
        settings: &Settings,
        supervision: Supervision,
    ) -> Result<Arc<Self>, SupervisedError> {
        let memory = SharedMemory::create(&supervision.memory)?;
        let session = Self {
            device,
            asked: settings.target,
            opening: Opening::new(device, settings),
            supervision,
            counter: Counter::default(),
            state: Mutex::new(State {
                opened: None,
                memory,
                child: None,
                reason: None,
                programs: BTreeMap::new(),
                buffers: BTreeMap::new(),
                bounds: BTreeMap::new(),
                last_number: 0,
                executions: 0,
                verify_next: false,
            }),
            lost: AtomicBool::new(false),
        };
        session.set_up(&mut session.state(), |_| Ok(()))?;
        Ok(Arc::new(session))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left half done shows as a fault of the next request.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the device says about how it was opened.
    pub(super) fn notes(&self) -> Vec<String> {
        let state = self.state();
        state
            .opened
            .as_ref()
            .map_or_else(Vec::new, |o| o.notes.clone())
    }

    /// The target that the device has chosen.
    pub(super) fn target(&self) -> Target {
        self.state()
            .opened
            .as_ref()
            .map_or(self.asked, |o| o.target)
    }

    /// `Ok` unless the device is lost.
    pub(super) fn health(&self) -> Result<(), SupervisedError> {
        if self.lost.load(Ordering::Acquire) {
            return Err(self.lost_error(&self.state()));
        }
        Ok(())
    }

    fn lost_error(&self, state: &State) -> SupervisedError {
        SupervisedError::Lost {
            device: self.device,
            reason: state.reason.clone().unwrap_or_default(),
        }
    }

    /// Asks the worker; a fault loses the device.
    fn call(
        &self,
        state: &mut State,
        request: &Request,
        deadline: Duration,
    ) -> Result<(), SupervisedError> {
        let device = self.device;
        let Some(child) = &mut state.child else {
            return Err(self.lost_error(state));
        };
        let error = match child.call(request, deadline) {
            Ok(Response::Done) => return Ok(()),
            Ok(Response::Opened { target, notes }) => match target.parse() {
                Ok(target) => {
                    let now = OpenedAs { target, notes };
                    let first = state.opened.get_or_insert_with(|| now.clone());
                    if *first == now {
                        return Ok(());
                    }
                    SupervisedError::Changed {
                        device,
                        first: first.to_string(),
                        now: now.to_string(),
                    }
                }
                Err(e) => SupervisedError::Protocol {
                    device,
                    reason: e.to_string(),
                },
            },
            Ok(Response::Failed { message, fault }) => SupervisedError::Failed {
                device,
                during: request.name(),
                message,
                fault,
            },
            Ok(Response::Differs { port, bytes }) => SupervisedError::Differs {
                device,
                port,
                bytes,
            },
            Err(e) => {
                self.lose(state, &e);
                return Err(e);
            }
        };
        if error.is_fault() {
            self.lose(state, &error);
        }
        Err(error)
    }

    fn lose(&self, state: &mut State, error: &SupervisedError) {
        state.child = None;
        state.reason = Some(error.to_string());
        self.lost.store(true, Ordering::Release);
    }

    /// Does something that changes nothing on the device but adds to it, again in a fresh worker after a fault, unless
    /// the device held results that only it had.
    fn set_up<T>(
        &self,
        state: &mut State,
        mut action: impl FnMut(&mut State) -> Result<T, SupervisedError>,
    ) -> Result<T, SupervisedError> {
        if state.reason.is_some() {
            return Err(self.lost_error(state));
        }
        let mut attempts = 1;
        loop {
            let ready = match state.child {
                Some(_) => Ok(()),
                None => self.start_again(state),
            };
            let outcome = ready.and_then(|()| action(state));
            let again = outcome.as_ref().is_err_and(SupervisedError::is_fault)
                && attempts < self.supervision.attempts
                && state.buffers.values().all(|b| !b.flags.is_stale());
            if !again {
                return outcome;
            }
            attempts += 1;
        }
    }

    /// A fresh worker with all programs, buffers and bindings. What the device alone had is gone.
    pub(super) fn recover(&self) -> Result<(), SupervisedError> {
        self.start_again(&mut self.state())
    }

    fn start_again(&self, state: &mut State) -> Result<(), SupervisedError> {
        state.child = None;
        for buffer in state.buffers.values() {
            buffer.flags.device_forgot();
        }
        let started = Child::spawn(self.device, &self.supervision.worker, state.memory.file());
        let child = started.inspect_err(|e| self.lose(state, e))?;
        state.child = Some(child);
        let built = self.build(state);
        match built {
            Ok(()) => {
                state.reason = None;
                self.lost.store(false, Ordering::Release);
                Ok(())
            }
            Err(e) => {
                self.lose(state, &e);
                Err(e)
            }
        }
    }

    /// Tells a new worker everything that is there.
    fn build(&self, state: &mut State) -> Result<(), SupervisedError> {
        let compile = self.supervision.compile_deadline;
        self.call(state, &Request::Open(self.opening.clone()), compile)?;
        for (number, program) in state.programs.clone() {
            self.compile_in_worker(state, number, &program)?;
        }
        let allocations: Vec<Request> = state
            .buffers
            .iter()
            .map(|(&number, b)| allocation(number, &b.ty, b.span))
            .collect();
        for request in &allocations {
            self.call(state, request, self.supervision.execute_deadline)?;
        }
        for (number, record) in state.bounds.clone() {
            self.call(state, &binding(number, &record), compile)?;
        }
        Ok(())
    }

    /// Compiles a program and returns its number.
    pub(super) fn compile(&self, program: Program) -> Result<u64, SupervisedError> {
        let mut state = self.state();
        let number = state.number();
        let program = Arc::new(program);
        self.set_up(&mut state, |state| {
            self.compile_in_worker(state, number, &program)
        })?;
        state.programs.insert(number, program);
        Ok(number)
    }

    fn compile_in_worker(
        &self,
        state: &mut State,
        number: u64,
        program: &Program,
    ) -> Result<(), SupervisedError> {
        let text = state.memory.hold(program.text.as_bytes())?;
        let outcome = match state.memory.hold(&program.weights) {
            Ok(weights) => {
                let request = Request::Compile {
                    program: number,
                    text,
                    weights,
                    in_place: program.in_place.clone(),
                };
                let outcome = self.call(state, &request, self.supervision.compile_deadline);
                state.memory.release(weights);
                outcome
            }
            Err(e) => Err(e),
        };
        state.memory.release(text);
        outcome?;
        self.counter.compiled();
        Ok(())
    }

    /// A buffer for `ty`: its number, flags and memory.
    pub(super) fn allocate(
        &self,
        ty: &TensorType,
    ) -> Result<(u64, Arc<Flags>, Span, Mapping), SupervisedError> {
        let mut state = self.state();
        let number = state.number();
        let (span, mapping) = state.memory.allocate(ty.bytes())?;
        let request = allocation(number, ty, span);
        let outcome = self.set_up(&mut state, |state| {
            self.call(state, &request, self.supervision.execute_deadline)
        });
        if let Err(e) = outcome {
            drop(mapping);
            state.memory.release(span);
            return Err(e);
        }
        let flags = Arc::<Flags>::default();
        let record = BufferRecord {
            ty: ty.clone(),
            span,
            flags: flags.clone(),
        };
        state.buffers.insert(number, record);
        Ok((number, flags, span, mapping))
    }

    /// Binds buffers to a program's ports and returns the binding's number.
    pub(super) fn bind(&self, record: BoundRecord) -> Result<u64, SupervisedError> {
        let mut state = self.state();
        let number = state.number();
        let request = binding(number, &record);
        self.set_up(&mut state, |state| {
            self.call(state, &request, self.supervision.compile_deadline)
        })?;
        state.bounds.insert(number, record);
        Ok(number)
    }

    /// Runs a binding. The caller has all its buffers lent.
    pub(super) fn execute(&self, bound: u64) -> Result<(), SupervisedError> {
        let mut state = self.state();
        let state = &mut *state;
        if state.child.is_none() {
            return Err(self.lost_error(state));
        }
        let record = state
            .bounds
            .get(&bound)
            .expect("a binding lives as long as its handle");
        let select = |ports: &[(String, u64)], wanted: fn(&Flags) -> bool| {
            let numbers = ports.iter().map(|(_, number)| *number);
            let mut all: Vec<u64> = numbers
                .filter(|n| wanted(&state.buffers[n].flags))
                .collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let upload = select(&record.inputs, Flags::is_dirty);
        let fetch = select(&record.outputs, Flags::was_looked_at);
        let outputs = select(&record.outputs, |_| true);
        state.executions += 1;
        let due = self.supervision.verify_every;
        let verify = due.is_some_and(|n| state.verify_next || state.executions.is_multiple_of(n));
        let request = Request::Execute {
            bound,
            upload: upload.clone(),
            fetch: fetch.clone(),
            verify,
        };
        self.call(state, &request, self.supervision.execute_deadline)?;
        state.verify_next = false;
        for number in &upload {
            state.buffers[number].flags.now_equal();
        }
        for number in &outputs {
            state.buffers[number]
                .flags
                .device_wrote(fetch.contains(number));
        }
        for _ in 0..=u8::from(verify) {
            self.counter.dispatched();
        }
        Ok(())
    }

    /// Wants the next execution to be run twice, where executions are verified at all.
    pub(super) fn verify_next(&self) {
        self.state().verify_next = true;
    }

    /// Brings a buffer's mirror up to date. A fault loses the device, and the next call says so.
    pub(super) fn fetch(&self, buffer: u64, flags: &Flags) {
        let mut state = self.state();
        let request = Request::Fetch { buffer };
        match self.call(&mut state, &request, self.supervision.execute_deadline) {
            Ok(()) => flags.now_equal(),
            Err(_) if state.reason.is_some() => {}
            Err(e) => self.lose(&mut state, &e),
        }
    }

    /// Forgets a buffer whose memory is no longer mapped.
    pub(super) fn forget_buffer(&self, number: u64, span: Span) {
        let mut state = self.state();
        state.buffers.remove(&number);
        self.release(&mut state, Released::Buffer(number));
        state.memory.release(span);
    }

    /// Forgets a program that nothing is bound to.
    pub(super) fn forget_program(&self, number: u64) {
        let mut state = self.state();
        state.programs.remove(&number);
        self.release(&mut state, Released::Program(number));
    }

    /// Forgets a binding.
    pub(super) fn forget_bound(&self, number: u64) {
        let mut state = self.state();
        state.bounds.remove(&number);
        self.release(&mut state, Released::Bound(number));
    }

    fn release(&self, state: &mut State, what: Released) {
        if let Some(child) = &mut state.child {
            child.tell(&Request::Release(what), self.supervision.execute_deadline);
        }
    }

    /// Number of the worker's process, while there is one.
    pub(super) fn worker_id(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let deadline = self.supervision.execute_deadline;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = &mut state.child {
            // Orderly if possible: what an engine has loaded is unloaded. The child is killed in any case.
            let _ = child.call(&Request::Close, deadline);
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

fn allocation(buffer: u64, ty: &TensorType, mirror: Span) -> Request {
    Request::Allocate {
        buffer,
        dtype: ty.dtype.to_string(),
        dims: ty.shape.dims().to_vec(),
        mirror,
    }
}

fn binding(bound: u64, record: &BoundRecord) -> Request {
    Request::Bind {
        bound,
        program: record.program,
        inputs: record.inputs.clone(),
        outputs: record.outputs.clone(),
    }
}
