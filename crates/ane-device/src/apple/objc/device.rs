//! What is common to the two routes: a device, its programs, and their bindings.
//!
//! A binding is a request, made once: which surface is which symbol of the program. Buffers lie in rows of 64 bytes, and the
//! same one can be an output of one binding and an input of another: that is how state stays on the engine.

use super::{
    attributes::Symbols,
    client::{self, ClientProgram},
    memory::{self, MemoryProgram},
    messages::{Request, pooled},
    surface::{IoSurface, Surface},
};
use crate::{
    Settings,
    apple::{
        self, AppleError,
        budget::{Budget, Program},
        poison,
        program_dir::{ContentHash, ProgramDir, sweep},
    },
    buffer::{Buffer, Layout},
    device::{Bound, Counter, Counts, Device, Executable, Port, in_port_order, same_target},
    error::DeviceError,
};
use ane_engine::{BindError, Lent, SharedBuffer};
use ane_ir::{Route, Target, TensorType};
use ane_mil::LegalGraph;
use objc2::{rc::Retained, runtime::AnyObject};
use objc2_foundation::NSDictionary;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// A loaded program of either route. Dropping it unloads it.
pub(super) trait Native: Send + std::fmt::Debug {
    /// `modelAttributes`.
    fn attributes(&self) -> Result<Retained<NSDictionary>, AppleError>;
    /// Runs the program and returns when it has.
    fn evaluate(&self, request: &Request) -> Result<(), AppleError>;
}

/// The device.
#[derive(Debug)]
pub(in crate::apple) struct Objc {
    programs: PathBuf,
    engine: Engine,
}

/// What executables share with their device.
#[derive(Debug, Clone)]
struct Engine {
    target: Target,
    surfaces: Arc<IoSurface>,
    budget: Arc<Budget<Resident>>,
    sources: Arc<Mutex<HashMap<ContentHash, Weak<Source>>>>,
    counter: Counter,
}

/// A loaded program with its requests.
#[derive(Debug)]
struct Resident {
    /// By binding.
    requests: HashMap<u64, Request>,
    symbols: Symbols,
    native: Box<dyn Native>,
}

/// What a program is loaded from. Whoever has it drops the program first.
#[derive(Debug)]
struct Source {
    printed: ane_mil::Program,
    hash: ContentHash,
    route: Route,
    /// Texts that the daemon may have compiled; more than one when the program was given up and taken up again.
    texts: Mutex<Vec<PathBuf>>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl Drop for Source {
    fn drop(&mut self) {
        let texts = self.texts.get_mut();
        for mil in texts.unwrap_or_else(PoisonError::into_inner) {
            match self.route {
                Route::Client => client::purge(mil, &self.hash),
                Route::Memory | Route::E5rt => memory::purge(&self.printed, &self.hash, mil),
            }
        }
    }
}

impl Objc {
    pub(super) fn open(settings: &Settings, surfaces: Arc<IoSurface>) -> Self {
        let options = &settings.apple;
        sweep(&options.programs);
        Self {
            programs: options.programs.clone(),
            engine: Engine {
                target: settings.target,
                surfaces,
                budget: Arc::new(Budget::new(options.resident)),
                sources: Arc::default(),
                counter: Counter::default(),
            },
        }
    }
}

impl Engine {
    /// What the program of this content is loaded from, the same for all who have it.
    fn source(
        &self,
        graph: &LegalGraph,
        printed: ane_mil::Program,
        hash: &ContentHash,
    ) -> Arc<Source> {
        let mut all = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, s| s.strong_count() > 0);
        if let Some(source) = all.get(hash).and_then(Weak::upgrade) {
            return source;
        }
        let (inputs, outputs) = Port::of(graph.graph());
        let source = Arc::new(Source {
            printed,
            hash: hash.clone(),
            route: self.target.route,
            texts: Mutex::default(),
            inputs,
            outputs,
        });
        all.insert(hash.clone(), Arc::downgrade(&source));
        source
    }

    fn load(&self, source: &Source, files: &ProgramDir) -> Result<Resident, DeviceError> {
        let mil = files.mil();
        let mut known = source.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&mil) {
            known.push(mil.clone());
        }
        drop(known);
        let compiled = || self.counter.compiled();
        let native: Box<dyn Native> = match self.target.route {
            Route::Client => Box::new(ClientProgram::load(
                &self.target,
                &mil,
                &source.hash,
                compiled,
            )?),
            Route::Memory | Route::E5rt => Box::new(MemoryProgram::load(
                &self.target,
                &source.printed,
                &source.hash,
                &mil,
                compiled,
            )?),
        };
        let symbols = pooled(|| {
            let attributes = native.attributes()?;
            Symbols::of(&attributes, &source.inputs, &source.outputs)
        })?;
        Ok(Resident {
            requests: HashMap::new(),
            symbols,
            native,
        })
    }
}

impl Device for Objc {
    fn name(&self) -> &'static str {
        apple::ENTRY.name
    }

    fn target(&self) -> &Target {
        &self.engine.target
    }

    fn layout(&self, ty: &TensorType) -> Layout {
        Layout::rows_of_64(ty)
    }

    fn counts(&self) -> Counts {
        self.engine.counter.get()
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        same_target(&self.engine.target, graph)?;
        let printed = ane_mil::print(graph);
        let hash = ContentHash::of(&printed, self.engine.target.route.name());
        let source = self.engine.source(graph, printed, &hash);
        let program = match self.engine.budget.find(&hash) {
            Some(program) => program,
            None => {
                let files = ProgramDir::create(&self.programs, &hash, &source.printed)?;
                let load = |files: &ProgramDir| self.engine.load(&source, files);
                self.engine.budget.add(hash, files, load)?
            }
        };
        Ok(Box::new(Loaded {
            program,
            source,
            engine: self.engine.clone(),
        }))
    }

    fn allocate(&self, ty: &TensorType) -> Result<Buffer, DeviceError> {
        let layout = self.layout(ty);
        let surface = Surface::new(&self.engine.surfaces, ty, layout)?;
        let memory = SharedBuffer::foreign(Box::new(surface));
        Ok(Buffer::over(ty.clone(), layout, memory))
    }
}

#[derive(Debug)]
struct Loaded {
    program: Arc<Program<Resident>>,
    source: Arc<Source>,
    engine: Engine,
}

impl Executable for Loaded {
    fn inputs(&self) -> &[Port] {
        &self.source.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.source.outputs
    }

    fn layout_is_known(&self) -> bool {
        let load = |files: &ProgramDir| self.engine.load(&self.source, files);
        let stated = |resident: &mut Resident| Ok(resident.symbols.layout_is_stated);
        let asked = self.engine.budget.run(&self.program, load, stated);
        asked.unwrap_or(false)
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (inputs, outputs) = in_port_order(self.inputs(), self.outputs(), ports)?;
        let names = self.inputs().iter().chain(self.outputs());
        let all: Vec<(&Port, &Buffer)> = names.zip(inputs.iter().chain(&outputs)).collect();
        for (port, buffer) in &all {
            let is_ours = surface(buffer).is_some_and(|s| s.is_of(&self.engine.surfaces));
            if !is_ours {
                let port = port.name.clone();
                return Err(AppleError::ForeignBuffer { port }.into());
            }
        }
        let mut held: Vec<SharedBuffer> = Vec::new();
        for (i, (port, buffer)) in all.iter().enumerate() {
            let before = all[..i]
                .iter()
                .find(|(_, b)| b.memory().same_as(buffer.memory()));
            match before {
                None => held.push(buffer.memory().clone()),
                Some(_) if i < inputs.len() => {}
                Some((other, _)) => {
                    return Err(BindError::Shared {
                        output: port.name.clone(),
                        other: other.name.clone(),
                    }
                    .into());
                }
            }
        }
        held.sort_by_key(SharedBuffer::address);
        let mut running = Running {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            program: self.program.clone(),
            source: self.source.clone(),
            engine: self.engine.clone(),
            inputs,
            outputs,
            held,
        };
        running.with_request(|_, _| Ok(()))?;
        Ok(Box::new(running))
    }
}

/// A binding.
#[derive(Debug)]
struct Running {
    number: u64,
    program: Arc<Program<Resident>>,
    source: Arc<Source>,
    engine: Engine,
    /// In the order of the ports.
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    /// Every buffer once, in the order in which threads wait for them.
    held: Vec<SharedBuffer>,
}

impl Running {
    /// Uses the program with the binding's request, after making it if the program was loaded without it.
    fn with_request(
        &mut self,
        run: impl FnOnce(&dyn Native, &Request) -> Result<(), AppleError>,
    ) -> Result<(), DeviceError> {
        let load = |files: &ProgramDir| self.engine.load(&self.source, files);
        self.engine.budget.run(&self.program, load, |resident| {
            pooled(|| {
                let request = match resident.requests.remove(&self.number) {
                    Some(request) => request,
                    None => Request::new(
                        &surfaces(&self.inputs, &resident.symbols.inputs),
                        &surfaces(&self.outputs, &resident.symbols.outputs),
                    )?,
                };
                let ran = run(&*resident.native, &request);
                resident.requests.insert(self.number, request);
                Ok(ran?)
            })
        })
    }
}

impl Bound for Running {
    fn execute(&mut self) -> Result<(), DeviceError> {
        self.engine.surfaces.health()?;
        for output in &self.outputs {
            poison::put(output);
        }
        let held = std::mem::take(&mut self.held);
        let ran = {
            let _lent: Vec<Lent<'_>> = held.iter().map(SharedBuffer::lend).collect();
            self.with_request(|native, request| native.evaluate(request))
        };
        self.held = held;
        ran?;
        self.engine.counter.dispatched();
        let ports = self.source.outputs.iter().zip(&self.outputs);
        let mut unwritten = ports.filter(|(_, buffer)| poison::remains(buffer));
        if let Some((port, _)) = unwritten.next() {
            return Err(AppleError::OutputNotWritten {
                port: port.name.clone(),
                mil: self.program.files().mil(),
            }
            .into());
        }
        Ok(self.engine.surfaces.health()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let number = self.number;
        self.program.forget(|resident| {
            pooled(|| drop(resident.requests.remove(&number)));
        });
    }
}

/// The surface behind a buffer of ours.
fn surface(buffer: &Buffer) -> Option<&Surface> {
    buffer.memory().owner()
}

fn surfaces<'a>(buffers: &'a [Buffer], symbols: &[usize]) -> Vec<(&'a AnyObject, usize)> {
    let objects = buffers.iter().map(|buffer| {
        let surface = surface(buffer).expect("`bind` looked at every buffer");
        surface.object()
    });
    objects.zip(symbols.iter().copied()).collect()
}
