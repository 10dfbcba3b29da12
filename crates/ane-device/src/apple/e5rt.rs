//! The route `e5rt`: Espresso's C functions, dense buffers, ports by name.
//!
//! A program is a directory with its text and weights, compiled and loaded by the framework. A binding is an operation
//! in a stream of its own, so that executing it again costs one call. Buffers are the framework's, and the same one can
//! be an output of one binding and an input of another: that is how state stays on the engine. An output may also have
//! the buffer of the input in whose place the graph declares it; a client that trains that way is published (aneforge,
//! M1 and M5). Whether such an output was written cannot be seen, since its buffer holds the state that is read.

use super::{
    AppleError,
    budget::{Budget, Program},
    espresso::{BufferObject, Espresso, Function, Library, Operation, Stream},
    poison,
    program_dir::{ContentHash, ProgramDir, sweep},
    system::{Detection, detect_in},
};
use crate::{
    Settings,
    buffer::{Buffer, Layout},
    device::{Bound, Counter, Counts, Device, Executable, Port, in_port_order, same_target},
    error::DeviceError,
};
use ane_engine::{BindError, Lent, SharedBuffer};
use ane_ir::{Chip, Graph, Target, TensorType};
use ane_mil::LegalGraph;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The function that the printer writes.
const FUNCTION: &str = "main";

#[derive(Debug)]
pub(super) struct E5rt {
    target: Target,
    programs: PathBuf,
    /// Whether something was compiled.
    warm: AtomicBool,
    engine: Engine,
}

/// What executables share with their device.
#[derive(Debug, Clone)]
struct Engine {
    espresso: Arc<Espresso>,
    budget: Arc<Budget<Resident>>,
    counter: Counter,
    /// What the compiler is told to compile for; its own machine when nothing.
    architecture: Option<Chip>,
}

/// A loaded program.
#[derive(Debug)]
struct Resident {
    /// By binding.
    streams: HashMap<u64, Stream>,
    function: Function,
    _library: Library,
}

impl E5rt {
    pub(super) fn open(settings: &Settings) -> Result<Self, DeviceError> {
        let options = &settings.apple;
        let espresso = Espresso::open(&options.espresso)?;
        sweep(&options.programs);
        Ok(Self {
            target: settings.target,
            programs: options.programs.clone(),
            warm: AtomicBool::new(false),
            engine: Engine {
                espresso,
                budget: Arc::new(Budget::new(options.resident)),
                counter: Counter::default(),
                architecture: architecture(settings, &detect_in(options)),
            },
        })
    }
}

/// The chip that the compiler is told: the target's, when it is known to be this machine's or the user has named it. The
/// target of a chip that is not known here is only a bound on programs, and code for it would not run.
fn architecture(settings: &Settings, found: &Detection) -> Option<Chip> {
    let chip = settings.target.chip;
    (settings.apple.chip_is_named || found.known == Some(chip)).then_some(chip)
}

impl E5rt {
    /// Compiles a program of one node if nothing was compiled yet, which brings the framework's allocator up. It is not
    /// counted: nobody asked for it.
    fn warm_up(&self) -> Result<(), DeviceError> {
        if self.warm.load(Ordering::Relaxed) {
            return Ok(());
        }
        let legal = one_node(&self.target).map_err(|reason| AppleError::Route {
            route: self.target.route,
            reason,
        })?;
        let printed = ane_mil::print(&legal);
        let hash = ContentHash::of(&printed, self.target.chip.name());
        let files = ProgramDir::create(&self.programs, &hash, &printed)?;
        let compiled = self.engine.compile(&files);
        if compiled.is_err() {
            files.keep();
        }
        drop(compiled?);
        self.warm.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// A program that every chip takes.
fn one_node(target: &Target) -> Result<LegalGraph, String> {
    let mut g = Graph::new();
    let built = g.input("x", TensorType::fp16([1, 32])).and_then(|x| {
        let y = g.relu(x)?;
        g.output("y", y)
    });
    built.map_err(|e| e.to_string())?;
    ane_mil::check(g, target).map_err(|violations| violations[0].to_string())
}

impl Engine {
    fn compile(&self, files: &ProgramDir) -> Result<Resident, DeviceError> {
        let cache = files.path().join("cache");
        std::fs::create_dir_all(&cache).map_err(|source| AppleError::Directory {
            what: "create",
            path: cache.clone(),
            source,
            variable: super::options::PROGRAMS,
        })?;
        let chip = self.architecture.map(Chip::name);
        let library = self.espresso.compile(&files.mil(), &cache, chip)?;
        Ok(Resident {
            streams: HashMap::new(),
            function: library.function(FUNCTION)?,
            _library: library,
        })
    }

    fn load(&self, files: &ProgramDir) -> Result<Resident, DeviceError> {
        let resident = self.compile(files)?;
        self.counter.compiled();
        Ok(resident)
    }
}

impl Device for E5rt {
    fn name(&self) -> &'static str {
        super::ENTRY.name
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn layout(&self, _: &TensorType) -> Layout {
        Layout::Dense
    }

    fn counts(&self) -> Counts {
        self.engine.counter.get()
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        same_target(&self.target, graph)?;
        let printed = ane_mil::print(graph);
        let hash = ContentHash::of(&printed, self.target.chip.name());
        let program = match self.engine.budget.find(&hash) {
            Some(program) => program,
            None => {
                let files = ProgramDir::create(&self.programs, &hash, &printed)?;
                let load = |files: &ProgramDir| self.engine.load(files);
                let program = self.engine.budget.add(hash, files, load)?;
                self.warm.store(true, Ordering::Relaxed);
                program
            }
        };
        let (inputs, outputs) = Port::of(graph.graph());
        Ok(Box::new(Loaded {
            program,
            inputs,
            outputs,
            in_place: graph.graph().in_place().to_vec(),
            engine: self.engine.clone(),
        }))
    }

    fn allocate(&self, ty: &TensorType) -> Result<Buffer, DeviceError> {
        self.warm_up()?;
        let layout = self.layout(ty);
        let memory = BufferObject::new(&self.engine.espresso, layout.bytes(ty))?;
        let memory = SharedBuffer::foreign(Box::new(memory));
        Ok(Buffer::over(ty.clone(), layout, memory))
    }
}

#[derive(Debug)]
struct Loaded {
    program: Arc<Program<Resident>>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Declared pairs, by position.
    in_place: Vec<(usize, usize)>,
    engine: Engine,
}

impl Executable for Loaded {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (inputs, outputs) = in_port_order(&self.inputs, &self.outputs, ports)?;
        let named = |ports: &[Port], buffers: Vec<Buffer>| -> Vec<(String, Buffer)> {
            let names = ports.iter().map(|p| p.name.clone());
            names.zip(buffers).collect()
        };
        let (inputs, outputs) = (named(&self.inputs, inputs), named(&self.outputs, outputs));
        for (port, buffer) in inputs.iter().chain(&outputs) {
            let ours =
                object(buffer).is_some_and(|o| Arc::ptr_eq(o.espresso(), &self.engine.espresso));
            if !ours {
                let port = port.clone();
                return Err(AppleError::ForeignBuffer { port }.into());
            }
        }
        let mut held: Vec<SharedBuffer> = Vec::new();
        for (_, buffer) in inputs.iter().chain(&outputs) {
            if !held.iter().any(|h| h.same_as(buffer.memory())) {
                held.push(buffer.memory().clone());
            }
        }
        held.sort_by_key(SharedBuffer::address);
        let mut poisoned = vec![true; outputs.len()];
        for (i, (output, buffer)) in outputs.iter().enumerate() {
            let others = inputs.iter().chain(&outputs[..i]).enumerate();
            for (j, (other, _)) in others.filter(|(_, (_, b))| b.memory().same_as(buffer.memory()))
            {
                if !self.in_place.contains(&(j, i)) {
                    return Err(BindError::Shared {
                        output: output.clone(),
                        other: other.clone(),
                    }
                    .into());
                }
                poisoned[i] = false;
            }
        }
        self.program.bind();
        let mut running = Running {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            program: self.program.clone(),
            engine: self.engine.clone(),
            inputs,
            outputs,
            poisoned,
            held,
        };
        running.with_stream(|_| Ok(()))?;
        Ok(Box::new(running))
    }
}

/// A binding.
#[derive(Debug)]
struct Running {
    number: u64,
    program: Arc<Program<Resident>>,
    engine: Engine,
    inputs: Vec<(String, Buffer)>,
    outputs: Vec<(String, Buffer)>,
    /// By output, whether its buffer is its own and can be poisoned before an execution.
    poisoned: Vec<bool>,
    /// Every buffer once, in the order in which threads wait for them.
    held: Vec<SharedBuffer>,
}

impl Running {
    fn make_stream(&self, resident: &Resident) -> Result<Stream, AppleError> {
        let name = format!("ane_trainer_{}", self.number);
        let (inputs, outputs) = (objects(&self.inputs), objects(&self.outputs));
        Stream::new(Operation::new(&resident.function, &name, inputs, outputs)?)
    }

    /// Outputs that are not written in place of an input.
    fn own_outputs(&self) -> impl Iterator<Item = &(String, Buffer)> {
        let outputs = self.outputs.iter().zip(&self.poisoned);
        outputs.filter_map(|(port, &poisoned)| poisoned.then_some(port))
    }

    /// Uses the binding's stream, after making it if the program was loaded without it.
    fn with_stream(
        &mut self,
        run: impl FnOnce(&mut Stream) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let load = |files: &ProgramDir| self.engine.load(files);
        self.engine.budget.run(&self.program, load, |resident| {
            let stream = match resident.streams.remove(&self.number) {
                Some(stream) => stream,
                None => match self.make_stream(resident) {
                    // This is where the framework loads, and others may have taken the places.
                    Err(_) if self.engine.budget.unload_idle() > 0 => self.make_stream(resident)?,
                    made => made?,
                },
            };
            run(resident.streams.entry(self.number).or_insert(stream))
        })
    }
}

impl Bound for Running {
    fn execute(&mut self) -> Result<(), DeviceError> {
        for (_, output) in self.own_outputs() {
            poison::put(output);
        }
        let held = std::mem::take(&mut self.held);
        let ran = {
            let _lent: Vec<Lent<'_>> = held.iter().map(SharedBuffer::lend).collect();
            self.with_stream(|stream| Ok(stream.execute()?))
        };
        self.held = held;
        ran?;
        self.engine.counter.dispatched();
        let unwritten = self.own_outputs().find(|(_, o)| poison::remains(o));
        unwritten.map_or(Ok(()), |(port, _)| {
            Err(AppleError::OutputNotWritten {
                port: port.clone(),
                mil: self.program.files().mil(),
            }
            .into())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let number = self.number;
        self.program.unbind(|resident| {
            resident.streams.remove(&number);
        });
    }
}

/// The framework's object behind a buffer of ours.
fn object(buffer: &Buffer) -> Option<&BufferObject> {
    buffer.memory().owner()
}

fn objects(ports: &[(String, Buffer)]) -> impl Iterator<Item = (&str, &BufferObject)> {
    ports.iter().map(|(name, buffer)| {
        let object = object(buffer).expect("`bind` looked at every buffer");
        (name.as_str(), object)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::System;
    use ane_ir::Route;

    #[test]
    fn the_compiler_is_told_a_chip_only_when_that_is_known_or_named() {
        let told = |brand: &str, chip: Chip, is_named: bool| {
            let mut settings = Settings {
                target: Target::new(chip, Route::E5rt),
                ..Settings::default()
            };
            settings.apple.chip_is_named = is_named;
            let system = System {
                brand: Some(brand.into()),
                ..System::default()
            };
            architecture(&settings, &system.detection())
        };
        assert_eq!(told("Apple M4", Chip::H16, false), Some(Chip::H16));
        assert_eq!(told("Apple M4", Chip::H13, false), None);
        assert_eq!(told("Apple M6", Chip::H13, false), None);
        assert_eq!(told("Apple M6", Chip::H13, true), Some(Chip::H13));
    }
}
