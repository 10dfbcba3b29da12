//! A device in a child process, which may crash, hang or leak without taking the training with it.
//!
//! [`Supervised`] is a [`Device`] like any other. It starts a [`Worker`], an explicit command that calls [`serve`], and
//! has it open the real device. Requests go over a socket, tensors through shared memory, and every request has a
//! deadline. After a fault [`Device::recover`] starts a fresh worker and builds programs, buffers and bindings again;
//! what the device alone held is gone then, so whoever trains must put its state back.

mod child;
mod deadline;
mod error;
mod mirror;
mod protocol;
mod session;
mod shared_memory;
mod worker;

pub use error::SupervisedError;
pub use worker::serve;

use crate::{
    Settings,
    buffer::{Buffer, Layout},
    device::{Bound, Counts, Device, Executable, Port, in_port_order_where, same_target},
    error::DeviceError,
};
use ane_engine::SharedBuffer;
use ane_ir::{Target, TensorType};
use ane_mil::LegalGraph;
use mirror::Mirror;
use session::{BoundRecord, Session};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Names a directory for the memory that a supervised device shares with its worker.
pub const MEMORY_VARIABLE: &str = "ANE_TRAINER_SHARED_MEMORY";

/// The command that runs as a worker; it has to call [`serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables it gets besides this process's own.
    pub environment: Vec<(OsString, OsString)>,
}

/// How a device is supervised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    /// Who runs the device.
    pub worker: Worker,
    /// Time for opening the device, for compiling a program and for binding.
    pub compile_deadline: Duration,
    /// How often opening, compiling and the like are tried, each time in a fresh worker, as long as the device holds
    /// nothing that only it has.
    pub attempts: u32,
    /// Time for everything else.
    pub execute_deadline: Duration,
    /// Every how many executions one is run twice and compared bit for bit; none when left out.
    pub verify_every: Option<u64>,
    /// Directory of the file without a name that the two processes share.
    pub memory: PathBuf,
}

impl Supervision {
    /// By `worker`, with 300 s and three attempts to compile, and 30 s to execute.
    pub fn new(worker: Worker) -> Self {
        const IN_MEMORY: &str = "/dev/shm";
        let memory = match std::env::var_os(MEMORY_VARIABLE) {
            Some(directory) => directory.into(),
            None if Path::new(IN_MEMORY).is_dir() => IN_MEMORY.into(),
            None => std::env::temp_dir(),
        };
        Self {
            worker,
            compile_deadline: Duration::from_secs(300),
            attempts: 3,
            execute_deadline: Duration::from_secs(30),
            verify_every: None,
            memory,
        }
    }
}

/// A device that runs in a worker. Clones share the worker.
#[derive(Debug, Clone)]
pub struct Supervised {
    target: Target,
    notes: Vec<String>,
    session: Arc<Session>,
}

impl Supervised {
    /// Starts a worker and opens the device called `device` in it.
    ///
    /// # Errors
    /// When there is no device of that name, the worker cannot be started, or the device cannot be opened there.
    pub fn open(
        device: &str,
        settings: &Settings,
        supervision: Supervision,
    ) -> Result<Self, DeviceError> {
        let device = crate::find(device)?.name;
        let session = Session::open(device, settings, supervision)?;
        Ok(Self {
            target: session.target(),
            notes: session.notes(),
            session,
        })
    }

    /// Number of the worker's process, while there is one.
    pub fn worker_id(&self) -> Option<u32> {
        self.session.worker_id()
    }
}

impl Device for Supervised {
    fn name(&self) -> &'static str {
        self.session.device
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn layout(&self, _: &TensorType) -> Layout {
        // Of the mirror; the worker lays tensors out as its device wants them.
        Layout::Dense
    }

    fn counts(&self) -> Counts {
        self.session.counter.get()
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        same_target(&self.target, graph)?;
        let number = self.session.compile(ane_mil::print(graph))?;
        let (inputs, outputs) = Port::of(graph.graph());
        Ok(Box::new(Program {
            inputs,
            outputs,
            handle: Arc::new(ProgramHandle {
                number,
                session: self.session.clone(),
            }),
        }))
    }

    fn allocate(&self, ty: &TensorType) -> Result<Buffer, DeviceError> {
        let (number, flags, span, mapping) = self.session.allocate(ty)?;
        let mirror = Mirror::new(self.session.clone(), number, flags, span, mapping);
        let memory = SharedBuffer::foreign(Box::new(mirror));
        Ok(Buffer::over(ty.clone(), Layout::Dense, memory))
    }

    fn health(&self) -> Result<(), DeviceError> {
        Ok(self.session.health()?)
    }

    fn recover(&self) -> Result<(), DeviceError> {
        Ok(self.session.recover()?)
    }

    fn verify_next(&self) {
        self.session.verify_next();
    }
}

/// A program of the worker, as long as an executable or a binding needs it.
#[derive(Debug)]
struct ProgramHandle {
    number: u64,
    session: Arc<Session>,
}

impl Drop for ProgramHandle {
    fn drop(&mut self) {
        self.session.forget_program(self.number);
    }
}

#[derive(Debug)]
struct Program {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    handle: Arc<ProgramHandle>,
}

impl Program {
    /// The ports with the numbers of their buffers.
    fn numbers(
        &self,
        ports: &[Port],
        buffers: &[Buffer],
    ) -> Result<Vec<(String, u64)>, DeviceError> {
        let number = |(port, buffer): (&Port, &Buffer)| {
            let mirror = buffer.memory().owner::<Mirror>();
            match mirror.filter(|m| m.is_of(&self.handle.session)) {
                Some(mirror) => Ok((port.name.clone(), mirror.number)),
                None => Err(DeviceError::ForeignBuffer {
                    port: port.name.clone(),
                    device: self.handle.session.device,
                }),
            }
        };
        ports.iter().zip(buffers).map(number).collect()
    }
}

impl Executable for Program {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        // A mirror is dense whatever the device's own buffer is; the worker asks that one again.
        let target = self.handle.session.target();
        let fits = |mirror: &Buffer, port: &TensorType| {
            Layout::of(&target, mirror.ty()).lies_as(mirror.ty(), port)
        };
        let (inputs, outputs) = in_port_order_where(&self.inputs, &self.outputs, ports, fits)?;
        let number = self.handle.session.bind(BoundRecord {
            program: self.handle.number,
            inputs: self.numbers(&self.inputs, &inputs)?,
            outputs: self.numbers(&self.outputs, &outputs)?,
        })?;
        let mut buffers: Vec<SharedBuffer> = inputs
            .iter()
            .chain(&outputs)
            .map(|b| b.memory().clone())
            .collect();
        buffers.sort_by_key(SharedBuffer::address);
        buffers.dedup_by(|a, b| a.same_as(b));
        Ok(Box::new(Running {
            number,
            buffers,
            program: self.handle.clone(),
        }))
    }
}

#[derive(Debug)]
struct Running {
    number: u64,
    /// Every buffer once, in the order in which executions wait for them.
    buffers: Vec<SharedBuffer>,
    program: Arc<ProgramHandle>,
}

impl Bound for Running {
    fn execute(&mut self) -> Result<(), DeviceError> {
        let _lent: Vec<_> = self.buffers.iter().map(SharedBuffer::lend).collect();
        Ok(self.program.session.execute(self.number)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.program.session.forget_bound(self.number);
    }
}
