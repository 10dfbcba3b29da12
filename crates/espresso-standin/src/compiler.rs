//! Compiling: configuration, options, the compiler, and the libraries that it makes.
//!
//! The compute mask says where a program may run: 1 processor, 2 GPU, 4 Neural Engine. With 4 in it the program is held
//! to the law of the chip and counts against the loaded programs. Without 4, or with `force_bnns_graph` and 1, it is
//! compiled for the processor: no law, plain IEEE rounding, no bound on loaded programs; there is no GPU, which is taken
//! for the processor too. A program that the chip refuses is compiled for the processor when the mask has another bit
//! beside 4, as reported of the framework, and is an error when it has not. The mask is 7 when nothing is said.
//!
//! `TargetArchitecture=hNN` chooses the chip, whose code another chip does not run. An unknown architecture is silently the machine's own, as reported.
//!
//! With a cache location, a compiled program is kept in a bundle there and taken from it while text, weights and target
//! are the same, unless recompilation is forced. Only real compilations are counted, and can be made to fail.

use crate::{
    bundle,
    error::E5rtError,
    handles::{Handle, Kind},
    operation::LoadState,
    runtime::{Runtime, leak},
};
use ane_ir::{Chip, Route, Target};
use ane_standin::{Event, Fault, Function, Program, ProgramError, Source, host_chip_of};
use std::{
    ffi::{CStr, CString},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const CPU: u64 = 1;
const ANE: u64 = 4;
const ALL: u64 = 7;

/// The only segmenter that sources name.
const SEGMENTER: &str = "graph";

/// Configuration of compilers to be made.
#[derive(Debug, Default)]
struct Config {
    cache: Mutex<Option<PathBuf>>,
}

impl Kind for Config {
    const NAME: &'static str = "compiler configuration";
}

/// A compiler.
#[derive(Debug)]
struct Compiler {
    cache: Option<PathBuf>,
}

impl Kind for Compiler {
    const NAME: &'static str = "compiler";
}

/// Options of compilations to come.
#[derive(Debug, Default)]
struct Options(Mutex<Choices>);

impl Kind for Options {
    const NAME: &'static str = "compiler options";
}

#[derive(Debug, Clone)]
struct Choices {
    mask: u64,
    recompile: bool,
    bnns: bool,
    /// The chip that the custom options name, if they name one that exists.
    chip: Option<Chip>,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            mask: ALL,
            recompile: false,
            bnns: false,
            chip: None,
        }
    }
}

impl Choices {
    /// Targets to try, in order.
    fn targets(&self, host: Chip) -> Vec<Target> {
        let chip = Target::new(self.chip.unwrap_or(host), Route::E5rt);
        match (self.mask & ANE > 0, self.mask & !ANE > 0) {
            _ if self.bnns && self.mask & CPU > 0 => vec![Target::SOFTWARE],
            (true, true) => vec![chip, Target::SOFTWARE],
            (true, false) => vec![chip],
            (false, _) => vec![Target::SOFTWARE],
        }
    }
}

/// A compiled program: functions, and their names as C callers get them.
#[derive(Debug)]
struct Library {
    names: Vec<CString>,
    functions: Vec<Arc<ProgramFunction>>,
}

impl Kind for Library {
    const NAME: &'static str = "program library";
}

/// A function of a library, and whether it is loaded.
#[derive(Debug)]
pub(crate) struct ProgramFunction {
    pub(crate) function: Function,
    /// The chip that it was compiled for; none when it runs on the processor.
    pub(crate) chip: Option<Chip>,
    pub(crate) load: LoadState,
}

/// A handle to a function of a library.
#[derive(Debug)]
pub(crate) struct RetainedFunction(pub(crate) Arc<ProgramFunction>);

impl Kind for RetainedFunction {
    const NAME: &'static str = "program function";
}

impl Library {
    fn new(program: &Program) -> Self {
        let target = program.target();
        let chip = target.is_chip().then_some(target.chip);
        let functions = program.functions().iter();
        Self {
            names: functions
                .clone()
                .map(|f| CString::new(f.name()).expect("MIL names are identifiers"))
                .collect(),
            functions: functions
                .map(|f| {
                    Arc::new(ProgramFunction {
                        function: f.clone(),
                        chip,
                        load: LoadState::new(chip.is_some()),
                    })
                })
                .collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Settings are assigned whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flag(argument: &'static str, value: i32) -> Result<bool, E5rtError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(E5rtError::value(argument, found, "0 or 1")),
    }
}

impl Runtime {
    /// A configuration without a cache.
    pub fn config_create(&self) -> Handle {
        self.handles.insert(Config::default())
    }

    /// Compilers made from the configuration keep bundles in `location`, which is made when it is needed.
    ///
    /// # Errors
    /// When the handle is not a configuration's, or the location is empty.
    pub fn config_set_cache_bundle_location(
        &self,
        config: Handle,
        location: &str,
    ) -> Result<(), E5rtError> {
        let config = self.handles.get::<Config>(config)?;
        if location.is_empty() {
            return Err(E5rtError::value("location", "empty", "a directory"));
        }
        *lock(&config.cache) = Some(location.into());
        Ok(())
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// When the handle is not a configuration's.
    pub fn config_release(&self, config: Handle) -> Result<(), E5rtError> {
        self.release::<Config>(config)
    }

    /// A compiler, configured as said at this moment.
    ///
    /// # Errors
    /// When the handle is not a configuration's.
    pub fn compiler_create(&self, config: Option<Handle>) -> Result<Handle, E5rtError> {
        let cache = match config {
            Some(config) => lock(&self.handles.get::<Config>(config)?.cache).clone(),
            None => None,
        };
        Ok(self.handles.insert(Compiler { cache }))
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// When the handle is not a compiler's.
    pub fn compiler_release(&self, compiler: Handle) -> Result<(), E5rtError> {
        self.release::<Compiler>(compiler)
    }

    /// Options: any device, nothing forced.
    pub fn options_create(&self) -> Handle {
        self.handles.insert(Options::default())
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// When the handle is not that of options.
    pub fn options_release(&self, options: Handle) -> Result<(), E5rtError> {
        self.release::<Options>(options)
    }

    /// Says where programs may run.
    ///
    /// # Errors
    /// When the handle is not that of options, or the mask has no bit or an unknown one.
    pub fn options_set_compute_device_types_mask(
        &self,
        options: Handle,
        mask: u64,
    ) -> Result<(), E5rtError> {
        let options = self.handles.get::<Options>(options)?;
        if mask == 0 || mask & !ALL > 0 {
            return Err(E5rtError::value("mask", mask, "a sum of 1, 2 and 4"));
        }
        lock(&options.0).mask = mask;
        Ok(())
    }

    /// Says whether bundles are passed over.
    ///
    /// # Errors
    /// When the handle is not that of options, or the value is neither 0 nor 1.
    pub fn options_set_force_recompilation(
        &self,
        options: Handle,
        force: i32,
    ) -> Result<(), E5rtError> {
        let options = self.handles.get::<Options>(options)?;
        lock(&options.0).recompile = flag("force", force)?;
        Ok(())
    }

    /// Says whether the processor is preferred.
    ///
    /// # Errors
    /// When the handle is not that of options, or the value is neither 0 nor 1.
    pub fn options_set_force_bnns_graph(
        &self,
        options: Handle,
        force: i32,
    ) -> Result<(), E5rtError> {
        let options = self.handles.get::<Options>(options)?;
        lock(&options.0).bnns = flag("force", force)?;
        Ok(())
    }

    /// Chooses the segmenter; all make the same program here.
    ///
    /// # Errors
    /// When the handle is not that of options, or the segmenter is not `graph`.
    pub fn options_set_segmenter(&self, options: Handle, name: &str) -> Result<(), E5rtError> {
        self.handles.get::<Options>(options)?;
        if name != SEGMENTER {
            return Err(E5rtError::value("segmenter", name, "`graph`"));
        }
        Ok(())
    }

    /// Options of the engine's own compiler: `TargetArchitecture=hNN`, or nothing.
    ///
    /// # Errors
    /// When the handle is not that of options, or the text is something else.
    pub fn options_set_custom_ane_compiler_options(
        &self,
        options: Handle,
        text: &str,
    ) -> Result<(), E5rtError> {
        let options = self.handles.get::<Options>(options)?;
        let chip = match text.split_once('=') {
            None if text.is_empty() => None,
            Some(("TargetArchitecture", name)) => host_chip_of(name),
            _ => {
                let expected = "`TargetArchitecture=hNN`";
                return Err(E5rtError::value("custom options", text, expected));
            }
        };
        lock(&options.0).chip = chip;
        Ok(())
    }

    /// Compiles the text at `path`, with its weight files beside it, into a library.
    ///
    /// # Errors
    /// When a handle is of another kind, the path is not a file, the program cannot be compiled, or a bundle cannot be
    /// written.
    pub fn compile(
        &self,
        compiler: Handle,
        path: &Path,
        options: Handle,
    ) -> Result<Handle, E5rtError> {
        let compiler = self.handles.get::<Compiler>(compiler)?;
        let choices = lock(&self.handles.get::<Options>(options)?.0).clone();
        if path.is_dir() {
            let found = format!("the directory `{}`", path.display());
            return Err(E5rtError::value("mil_path", found, "a file"));
        }
        let source = Source::read(path)?;
        let targets = choices.targets(self.environment.chip);
        if let Some(cache) = compiler.cache.as_ref().filter(|_| !choices.recompile) {
            for target in &targets {
                let bundle = bundle::path(cache, &source, target);
                if let Ok(program) = bundle::open(&bundle, &self.environment) {
                    self.warmed_up();
                    return Ok(self.handles.insert(Library::new(&program)));
                }
            }
        }
        let fault = self.environment.faults.at(Event::Compile).map(Fault::act);
        if fault == Some(Fault::Fail) {
            return Err(E5rtError::Planned {
                event: Event::Compile,
            });
        }
        leak(fault);
        let most = self.environment.max_compiles;
        if most.is_some_and(|most| self.compiled() >= most as u64) {
            return Err(E5rtError::Exhausted("compilations"));
        }
        let program = self.compile_for_first(&source, &targets)?;
        self.count_compilation();
        self.warmed_up();
        if let Some(cache) = &compiler.cache {
            bundle::write(cache, &source, program.target())?;
        }
        Ok(self.handles.insert(Library::new(&program)))
    }

    /// The program of the first target that takes it; what the first one said when none does.
    fn compile_for_first(
        &self,
        source: &Source,
        targets: &[Target],
    ) -> Result<Program, ProgramError> {
        let mut refusal = None;
        for target in targets {
            if let Some(error) = &refusal {
                let line = format_args!("compiling for {target} instead: {error}");
                self.environment.log("espresso-standin", line);
            }
            match source.compile(target, self.environment.options(target)) {
                Ok(program) => return Ok(program),
                Err(error) => {
                    refusal.get_or_insert(error);
                }
            }
        }
        Err(refusal.expect("every mask has a target"))
    }

    /// Opens a bundle that a compiler has written.
    ///
    /// # Errors
    /// When it is none.
    pub fn library_create(&self, bundle: &Path) -> Result<Handle, E5rtError> {
        let program = bundle::open(bundle, &self.environment)?;
        Ok(self.handles.insert(Library::new(&program)))
    }

    /// Names of the library's functions, which live as long as the library's handle.
    ///
    /// # Errors
    /// When the handle is not a library's.
    pub fn library_function_names<R>(
        &self,
        library: Handle,
        f: impl FnOnce(&[&CStr]) -> R,
    ) -> Result<R, E5rtError> {
        let library = self.handles.get::<Library>(library)?;
        let names: Vec<&CStr> = library.names.iter().map(CString::as_c_str).collect();
        Ok(f(&names))
    }

    /// The function called `name`.
    ///
    /// # Errors
    /// When the handle is not a library's, or there is no such function.
    pub fn library_retain_program_function(
        &self,
        library: Handle,
        name: &str,
    ) -> Result<Handle, E5rtError> {
        let library = self.handles.get::<Library>(library)?;
        let found = library.functions.iter().find(|f| f.function.name() == name);
        let function = found.ok_or_else(|| E5rtError::Name {
            what: "function",
            name: name.to_owned(),
            known: library
                .functions
                .iter()
                .map(|f| f.function.name().to_owned())
                .collect(),
        })?;
        Ok(self.handles.insert(RetainedFunction(function.clone())))
    }

    /// Gives the handle back; functions and operations made from the library stay.
    ///
    /// # Errors
    /// When the handle is not a library's.
    pub fn library_release(&self, library: Handle) -> Result<(), E5rtError> {
        self.release::<Library>(library)
    }

    /// Gives the handle back; operations made from the function stay.
    ///
    /// # Errors
    /// When the handle is not a function's.
    pub fn function_release(&self, function: Handle) -> Result<(), E5rtError> {
        self.release::<RetainedFunction>(function)
    }
}
