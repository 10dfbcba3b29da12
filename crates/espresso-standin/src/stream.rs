//! Execution streams: operations in order, executed as a whole.
//!
//! A stream is encoded and then executed, synchronously or not, as often as wanted; aneforge encodes once and executes
//! for ever. It is reset before it is encoded anew, and a stream that nothing was encoded into cannot be reset (aneforge).
//! Operations of a stream run one after the other. The first that fails ends the execution, and those behind it do not
//! run.

use crate::{
    error::E5rtError,
    event::AsyncEvent,
    handles::{Handle, Kind},
    operation::{Encoded, Operation},
    runtime::{Runtime, leak},
};
use ane_engine::Pool;
use ane_standin::{Environment, Event, Fault};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Largest quality of service that sources pass.
const MAX_QUALITY_OF_SERVICE: u64 = 63;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Executing,
    Executed,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    encoded: Vec<Arc<Encoded>>,
}

impl State {
    fn clear(&mut self) {
        self.encoded.clear();
        self.phase = Phase::Open;
    }
}

/// A sequence of operations.
#[derive(Debug)]
struct Stream(Mutex<State>);

impl Kind for Stream {
    const NAME: &'static str = "stream";
}

/// An execution that has been started: what to run, what to wait for before and what to signal after.
struct Started {
    steps: Vec<Step>,
}

struct Step {
    encoded: Arc<Encoded>,
    awaited: Vec<(Arc<AsyncEvent>, u64)>,
    signals: Option<(Arc<AsyncEvent>, u64)>,
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if the stream is not executing.
    fn idle(&self, call: &'static str) -> Result<MutexGuard<'_, State>, E5rtError> {
        let state = self.lock();
        match state.phase {
            Phase::Executing => Err(E5rtError::Busy { call }),
            Phase::Open | Phase::Executed => Ok(state),
        }
    }

    fn start(&self) -> Result<Started, E5rtError> {
        let call = "execute a stream";
        let mut state = self.idle(call)?;
        if state.encoded.is_empty() {
            return Err(E5rtError::order(call, "no operation is encoded"));
        }
        state.phase = Phase::Executing;
        let steps = state.encoded.iter().map(|encoded| Step {
            awaited: encoded
                .dependents
                .iter()
                .map(|event| (event.clone(), event.awaited()))
                .collect(),
            signals: encoded
                .completion
                .as_ref()
                .map(|event| (event.clone(), event.announce())),
            encoded: encoded.clone(),
        });
        Ok(Started {
            steps: steps.collect(),
        })
    }

    fn finish(&self) {
        self.lock().phase = Phase::Executed;
    }
}

impl Started {
    fn run(self, environment: &Environment, pool: &Pool) -> Result<(), E5rtError> {
        let mut outcome = Ok(());
        for step in self.steps {
            if outcome.is_ok() {
                for (event, value) in &step.awaited {
                    let (name, event_name) = (step.encoded.name(), event.name());
                    environment.log(
                        "espresso-standin",
                        format_args!("`{name}` waits until `{event_name}` is {value}"),
                    );
                    event.wait(*value);
                }
                outcome = execute(&step.encoded, environment, pool);
            }
            // Also after a failure: nobody waits for ever for what will not come.
            if let Some((event, value)) = step.signals {
                event.raise(value);
            }
        }
        outcome
    }
}

fn execute(encoded: &Encoded, environment: &Environment, pool: &Pool) -> Result<(), E5rtError> {
    let mut execution = encoded
        .execution
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let fault = environment.faults.at(Event::Execute).map(Fault::act);
    match fault {
        Some(Fault::Fail) => {
            return Err(E5rtError::Planned {
                event: Event::Execute,
            });
        }
        Some(Fault::Geometry) => return Err(E5rtError::Geometry),
        Some(Fault::Unwritten) => return Ok(()),
        _ => execution.execute(pool),
    }
    match fault {
        Some(Fault::Corrupt) => execution.corrupt(),
        Some(Fault::Zeros) => execution.zero(),
        _ => {}
    }
    leak(fault);
    Ok(())
}

impl Runtime {
    /// An empty stream.
    pub fn stream_create(&self) -> Handle {
        self.handles.insert(Stream(Mutex::new(State {
            phase: Phase::Open,
            encoded: Vec::new(),
        })))
    }

    /// Puts an operation behind those that the stream has.
    ///
    /// # Errors
    /// When a handle is of another kind, a port of the operation is not bound, two outputs share a buffer, the operation
    /// was encoded before and not prepared since, or the stream is executing or not reset.
    pub fn stream_encode(&self, stream: Handle, operation: Handle) -> Result<(), E5rtError> {
        let call = "encode an operation";
        let stream = self.handles.get::<Stream>(stream)?;
        let operation = self.handles.get::<Operation>(operation)?;
        let mut state = stream.idle(call)?;
        if state.phase == Phase::Executed {
            let reason = "the stream has been executed; reset it";
            return Err(E5rtError::order(call, reason));
        }
        state.encoded.push(Arc::new(
            operation.encode(self.pool.threads(), self.environment.in_place)?,
        ));
        Ok(())
    }

    /// Executes the stream and returns when it is done.
    ///
    /// # Errors
    /// When the handle is not a stream's, nothing is encoded, the stream is executing, or an operation fails.
    pub fn stream_execute_sync(&self, stream: Handle) -> Result<(), E5rtError> {
        let stream = self.handles.get::<Stream>(stream)?;
        let started = stream.start()?;
        let outcome = started.run(&self.environment, &self.pool);
        stream.finish();
        outcome
    }

    /// Starts executing the stream and returns; `done` gets the code when it has ended, on another thread.
    ///
    /// # Errors
    /// As [`Self::stream_execute_sync`], but for failures of operations, which `done` gets.
    pub fn stream_submit_async(
        &self,
        stream: Handle,
        done: impl FnOnce(i64) + Send + 'static,
    ) -> Result<(), E5rtError> {
        let stream = self.handles.get::<Stream>(stream)?;
        let started = stream.start()?;
        let (environment, pool) = (self.environment.clone(), self.pool.clone());
        let running = stream.clone();
        let work = move || {
            let outcome = started.run(&environment, &pool);
            running.finish();
            let code = outcome.map_or_else(
                |error| {
                    environment.log("espresso-standin", &error);
                    error.code()
                },
                |()| 0,
            );
            done(code);
        };
        let thread = std::thread::Builder::new().name("espresso-standin".to_owned());
        thread.spawn(work).map(drop).map_err(|_| {
            stream.finish();
            E5rtError::Exhausted("threads")
        })
    }

    /// Empties the stream.
    ///
    /// # Errors
    /// When the handle is not a stream's, nothing was encoded into it, or the stream is executing.
    pub fn stream_reset(&self, stream: Handle) -> Result<(), E5rtError> {
        let call = "reset a stream";
        let stream = self.handles.get::<Stream>(stream)?;
        let mut state = stream.idle(call)?;
        if state.encoded.is_empty() {
            return Err(E5rtError::order(call, "nothing was encoded into it"));
        }
        state.clear();
        Ok(())
    }

    /// A hint about priority, which changes nothing here.
    ///
    /// # Errors
    /// When the handle is not a stream's.
    pub fn stream_set_ane_execution_priority(
        &self,
        stream: Handle,
        _: u64,
    ) -> Result<(), E5rtError> {
        self.handles.get::<Stream>(stream).map(drop)
    }

    /// A hint about priority, which changes nothing here.
    ///
    /// # Errors
    /// When the handle is not a stream's, or the value is above 63.
    pub fn stream_set_quality_of_service(
        &self,
        stream: Handle,
        value: u64,
    ) -> Result<(), E5rtError> {
        self.handles.get::<Stream>(stream)?;
        if value > MAX_QUALITY_OF_SERVICE {
            return Err(E5rtError::value("quality of service", value, "0 to 63"));
        }
        Ok(())
    }

    /// Gives the handle back, and takes the stream's operations out of it.
    ///
    /// # Errors
    /// When the handle is not a stream's, or the stream is executing.
    pub fn stream_release(&self, stream: Handle) -> Result<(), E5rtError> {
        let found = self.handles.get::<Stream>(stream)?;
        found.idle("release a stream")?.clear();
        self.release::<Stream>(stream)
    }
}
