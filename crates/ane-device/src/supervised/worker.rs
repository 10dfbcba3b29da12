//! The worker: a device and its objects, driven by requests.

use super::{
    SupervisedError,
    protocol::{Released, Request, Response, receive, send, tensor_type},
    shared_memory::{Mapping, Span},
};
use crate::{
    Settings,
    buffer::Buffer,
    device::{Bound, Device, Executable},
    error::DeviceError,
};
use ane_mil::{MemoryBlobs, WEIGHTS_PATH};
use rustix::{
    process::{Signal, getpid, kill_process},
    stdio::{dup2_stdin, dup2_stdout},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{
        self,
        ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof},
    },
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::parent_id},
    },
    time::Duration,
};

/// How often a worker looks whether its parent still lives; while idle it notices at once.
const LOOK_AFTER_PARENT: Duration = Duration::from_secs(1);

/// Opens a device by name.
type Open<'a> = &'a dyn Fn(&str, &Settings) -> Result<Box<dyn Device>, DeviceError>;

/// Serves the process that started this one until it closes its side, with devices that `open` opens; that is
/// [`crate::open`] but for tests.
///
/// Takes over standard input and output: nothing can be read afterwards, and what is printed goes to standard error.
///
/// # Errors
/// When the process was not started by a [`super::Supervised`], or the connection breaks.
pub fn serve(
    open: impl Fn(&str, &Settings) -> Result<Box<dyn Device>, DeviceError>,
) -> Result<(), DeviceError> {
    let mut channel = take_over().map_err(SupervisedError::NotSupervised)?;
    let mut server = Server {
        open: &open,
        memory: channel.memory,
        device: None,
        programs: BTreeMap::new(),
        buffers: BTreeMap::new(),
        bounds: BTreeMap::new(),
    };
    loop {
        match server.answer_next(&mut channel.socket) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // The parent has ended without closing, while something was under way.
            Err(e) if matches!(e.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => {
                return Ok(());
            }
            Err(e) => {
                return Err(SupervisedError::Protocol {
                    device: "worker",
                    reason: e.to_string(),
                }
                .into());
            }
        }
    }
}

struct Channel {
    socket: UnixStream,
    memory: File,
}

/// The socket and the shared memory that came as standard input and output, which others must not use any more.
fn take_over() -> io::Result<Channel> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    let memory = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    let parent = parent_id();
    std::thread::Builder::new()
        .name("ane-parent".into())
        .spawn(move || {
            while parent_id() == parent {
                std::thread::sleep(LOOK_AFTER_PARENT);
            }
            // The device may hang, and so may everything that runs when a process ends in good order.
            let _ = kill_process(getpid(), Signal::KILL);
        })?;
    Ok(Channel { socket, memory })
}

struct Server<'a> {
    open: Open<'a>,
    memory: File,
    device: Option<Box<dyn Device>>,
    programs: BTreeMap<u64, Box<dyn Executable>>,
    buffers: BTreeMap<u64, (Buffer, Mapping)>,
    bounds: BTreeMap<u64, Running>,
}

struct Running {
    bound: Box<dyn Bound>,
    outputs: Vec<(String, u64)>,
    /// Buffers that are inputs as well as outputs.
    in_place: Vec<u64>,
}

/// Why a request was not carried out.
enum Refusal {
    Device(DeviceError),
    /// The request itself is wrong.
    Senseless(String),
    /// Two runs differ.
    Differs {
        port: String,
        bytes: usize,
    },
}

impl<E: Into<DeviceError>> From<E> for Refusal {
    fn from(e: E) -> Self {
        Self::Device(e.into())
    }
}

fn senseless(e: impl ToString) -> Refusal {
    Refusal::Senseless(e.to_string())
}

impl Server<'_> {
    /// Waits for a request and answers it; `false` after the last.
    fn answer_next(&mut self, socket: &mut UnixStream) -> io::Result<bool> {
        let Some(request) = receive(socket)? else {
            return Ok(false);
        };
        let closing = request == Request::Close;
        if let Some(response) = self.answer(request) {
            send(socket, &response)?;
        }
        Ok(!closing)
    }

    fn answer(&mut self, request: Request) -> Option<Response> {
        let silent = matches!(request, Request::Release(_));
        let opens = matches!(request, Request::Open(_));
        let response = match self.carry_out(request) {
            Ok(()) => match &self.device {
                Some(device) if opens => Response::Opened {
                    target: device.target().to_string(),
                    notes: device.notes().to_vec(),
                },
                _ => Response::Done,
            },
            Err(Refusal::Device(e)) => Response::failed(&e),
            Err(Refusal::Senseless(message)) => Response::Failed {
                message,
                fault: false,
            },
            Err(Refusal::Differs { port, bytes }) => Response::Differs { port, bytes },
        };
        (!silent).then_some(response)
    }

    fn carry_out(&mut self, request: Request) -> Result<(), Refusal> {
        match request {
            Request::Open(opening) => {
                let settings = opening.settings().map_err(senseless)?;
                self.device = Some((self.open)(&opening.device, &settings)?);
            }
            Request::Compile {
                program,
                text,
                weights,
                in_place,
            } => {
                let compiled = self.compile(text, weights, &in_place)?;
                self.programs.insert(program, compiled);
            }
            Request::Allocate {
                buffer,
                dtype,
                dims,
                mirror,
            } => {
                let ty = tensor_type(&dtype, &dims)
                    .ok_or_else(|| senseless(format!("no type is {dtype} {dims:?}")))?;
                let mapping = Mapping::of(&self.memory, mirror).map_err(senseless)?;
                if mapping.bytes() != ty.bytes() {
                    return Err(senseless(format!("{} bytes for {ty}", mapping.bytes())));
                }
                let own = self.device()?.allocate(&ty)?;
                self.buffers.insert(buffer, (own, mapping));
            }
            Request::Bind {
                bound,
                program,
                inputs,
                outputs,
            } => {
                let running = self.bind(program, &inputs, outputs)?;
                self.bounds.insert(bound, running);
            }
            Request::Execute {
                bound,
                upload,
                fetch,
                verify,
            } => {
                for buffer in upload {
                    let (own, mirror) = self.buffer(buffer)?;
                    mirror.read(|bytes| own.copy_in_bytes(bytes))?;
                }
                self.execute(bound, verify)?;
                for buffer in fetch {
                    self.fetch(buffer)?;
                }
            }
            Request::Fetch { buffer } => self.fetch(buffer)?,
            Request::Release(Released::Program(n)) => drop(self.programs.remove(&n)),
            Request::Release(Released::Buffer(n)) => drop(self.buffers.remove(&n)),
            Request::Release(Released::Bound(n)) => drop(self.bounds.remove(&n)),
            Request::Close => {
                self.bounds.clear();
                self.programs.clear();
                self.buffers.clear();
                self.device = None;
            }
        }
        Ok(())
    }

    fn device(&self) -> Result<&dyn Device, Refusal> {
        self.device
            .as_deref()
            .ok_or_else(|| senseless("no device is open"))
    }

    fn buffer(&self, number: u64) -> Result<&(Buffer, Mapping), Refusal> {
        self.buffers
            .get(&number)
            .ok_or_else(|| senseless(format!("there is no buffer {number}")))
    }

    fn compile(
        &self,
        text: Span,
        weights: Span,
        in_place: &[(String, String)],
    ) -> Result<Box<dyn Executable>, Refusal> {
        let device = self.device()?;
        let text = Mapping::of(&self.memory, text)
            .map_err(senseless)?
            .read(<[u8]>::to_vec);
        let text = String::from_utf8(text).map_err(senseless)?;
        let weights = Mapping::of(&self.memory, weights)
            .map_err(senseless)?
            .read(<[u8]>::to_vec);
        let blobs = MemoryBlobs::new().with(WEIGHTS_PATH, weights.as_slice());
        let mut module = ane_mil::parse(&text, &blobs).map_err(senseless)?;
        if module.functions.len() != 1 {
            return Err(senseless(format!("{} functions", module.functions.len())));
        }
        let mut graph = module.functions.remove(0).graph;
        for (input, output) in in_place {
            graph.declare_in_place(input, output).map_err(senseless)?;
        }
        let legal = ane_mil::check(graph, device.target()).map_err(|violations| {
            let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
            senseless(all.join("; "))
        })?;
        Ok(device.compile(&legal)?)
    }

    fn bind(
        &self,
        program: u64,
        inputs: &[(String, u64)],
        outputs: Vec<(String, u64)>,
    ) -> Result<Running, Refusal> {
        let executable = self
            .programs
            .get(&program)
            .ok_or_else(|| senseless(format!("there is no program {program}")))?;
        let mut ports = Vec::new();
        for (name, number) in inputs.iter().chain(&outputs) {
            ports.push((name.as_str(), &self.buffer(*number)?.0));
        }
        let mut in_place: Vec<u64> = inputs
            .iter()
            .map(|(_, number)| *number)
            .filter(|n| outputs.iter().any(|(_, output)| output == n))
            .collect();
        in_place.sort_unstable();
        in_place.dedup();
        Ok(Running {
            bound: executable.bind(&ports)?,
            in_place,
            outputs,
        })
    }

    /// Runs once, or twice with the same inputs.
    fn execute(&mut self, number: u64, verify: bool) -> Result<(), Refusal> {
        let mut running = self
            .bounds
            .remove(&number)
            .ok_or_else(|| senseless(format!("there is no binding {number}")))?;
        let outcome = if verify {
            self.execute_twice(&mut running)
        } else {
            running.bound.execute().map_err(Refusal::from)
        };
        self.bounds.insert(number, running);
        outcome
    }

    fn execute_twice(&self, running: &mut Running) -> Result<(), Refusal> {
        let mut before = Vec::new();
        for &number in &running.in_place {
            let own = &self.buffer(number)?.0;
            before.push((own, own.copy_out_bytes()));
        }
        running.bound.execute()?;
        let mut first = Vec::new();
        for (port, number) in &running.outputs {
            let own = &self.buffer(*number)?.0;
            first.push((port, own, own.copy_out_bytes()));
        }
        for (own, bytes) in before {
            own.copy_in_bytes(&bytes)?;
        }
        running.bound.execute()?;
        for (port, own, first) in first {
            let second = own.copy_out_bytes();
            let bytes = first.iter().zip(&second).filter(|(a, b)| a != b).count();
            if bytes > 0 {
                return Err(Refusal::Differs {
                    port: port.clone(),
                    bytes,
                });
            }
        }
        Ok(())
    }

    fn fetch(&self, number: u64) -> Result<(), Refusal> {
        let (own, mirror) = self.buffer(number)?;
        let bytes = own.copy_out_bytes();
        mirror.write(|out| out.copy_from_slice(&bytes));
        Ok(())
    }
}
