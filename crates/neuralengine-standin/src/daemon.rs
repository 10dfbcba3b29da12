//! Programs that are compiled, cached and loaded: what `aned` does for a process.
//!
//! Programs are known by their identity alone. What is cached under one is never compared with the files again, so
//! rewriting a directory and loading the same model changes nothing. The real cache outlives the process; this one does
//! not, so that a test never meets what another has left. It forgets the oldest of more than 256 programs that are not
//! loaded.
//!
//! Models of the same identity share one loaded program, which takes one place of the limit.

use crate::failure::{Code, Failure};
use crate::resident::Resident;
use ane_engine::Pool;
use ane_ir::{Route, Target};
use ane_standin::{Environment, Event, Fault, Loaded, MODEL_FILE, Program, ProgramError, Source};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

/// Rules that the compiler answers with an empty list of reasons.
const SILENT_RULES: [&str; 2] = ["axis_limits", "blob_count"];

/// Programs that are kept although they are not loaded.
const MAX_CACHED: usize = 256;

/// How much a planned leak of an event that holds nothing else leaks.
const LEAK_BYTES: usize = 64 * 1024;

/// What a program is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// `hexStringIdentifier` of an in-memory model.
    Memory(String),
    /// Directory and key of a model on disk.
    Client(PathBuf, String),
}

impl Identity {
    pub(crate) fn route(&self) -> Route {
        match self {
            Self::Memory(_) => Route::Memory,
            Self::Client(..) => Route::Client,
        }
    }
}

#[derive(Debug)]
struct Cached {
    program: Arc<Program>,
    resident: Weak<Resident>,
    /// It cannot be loaded until it is compiled again.
    is_damaged: bool,
    /// Grows with every program that is cached.
    age: u64,
}

/// The one of this process.
#[derive(Debug)]
pub(crate) struct Daemon {
    environment: Environment,
    pool: Arc<Pool>,
    loaded: Loaded,
    cache: Mutex<HashMap<Identity, Cached>>,
    /// Programs that were compiled, and not found in the cache.
    compiled: AtomicUsize,
}

static CURRENT: RwLock<Option<Arc<Daemon>>> = RwLock::new(None);

/// Replaces the environment of this process and forgets every cached program. Programs that are loaded stay loaded, and
/// count no longer.
///
/// # Errors
/// When the system cannot start the engine's threads.
pub fn restart(environment: Environment) -> std::io::Result<()> {
    let daemon = Daemon::new(environment)?;
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(daemon);
    Ok(())
}

/// How many programs are loaded in this process.
pub fn loaded_programs() -> usize {
    let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().map_or(0, |daemon| daemon.loaded.count())
}

/// Writes a reason to standard error if `ANE_STANDIN_LOG` is set.
pub(crate) fn log(line: &str) {
    if let Ok(daemon) = Daemon::current() {
        daemon.environment.log("neuralengine-standin", line);
    }
}

impl Daemon {
    fn new(environment: Environment) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            pool: Arc::new(Pool::new(environment.threads)?),
            loaded: Loaded::new(environment.max_loaded),
            cache: Mutex::default(),
            compiled: AtomicUsize::new(0),
            environment,
        }))
    }

    /// The one there is, made from the environment variables when it is first needed.
    ///
    /// # Errors
    /// When a variable means nothing, or the threads cannot be started.
    pub(crate) fn current() -> Result<Arc<Self>, Failure> {
        let known = CURRENT
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(daemon) = known {
            return Ok(daemon);
        }
        let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(daemon) = &*current {
            return Ok(daemon.clone());
        }
        let failed = |reason: String| {
            eprintln!("neuralengine-standin: {reason}");
            Failure::new(Code::Load, reason)
        };
        let environment = Environment::read().map_err(|e| failed(e.to_string()))?;
        let daemon =
            Self::new(environment).map_err(|e| failed(format!("cannot start threads: {e}")))?;
        *current = Some(daemon.clone());
        Ok(daemon)
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Identity, Cached>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_compiled(&self, identity: &Identity) -> bool {
        self.cache().contains_key(identity)
    }

    /// Forgets a program; those who have it loaded keep it.
    pub(crate) fn purge(&self, identity: &Identity) {
        if self.cache().remove(identity).is_some() {
            log("a program is forgotten");
        }
    }

    /// Compiles the files in `directory` unless the identity is known.
    pub(crate) fn compile(&self, identity: &Identity, directory: &Path) -> Result<(), Failure> {
        match self.fault(Event::Compile) {
            Some(Fault::Leak) => leak(),
            Some(_) => return Err(Failure::compiler("CompilationFailure")),
            None => {}
        }
        if self.is_compiled(identity) {
            return Ok(());
        }
        let most = self.environment.max_compiles.unwrap_or(usize::MAX);
        if self.compiled.fetch_add(1, Ordering::Relaxed) >= most {
            log("the process has compiled as many programs as it may");
            return Err(Failure::compiler(""));
        }
        let program = Arc::new(self.build(identity.route(), directory)?);
        let mut cache = self.cache();
        let age = cache
            .values()
            .map(|cached| cached.age + 1)
            .max()
            .unwrap_or(0);
        cache.entry(identity.clone()).or_insert(Cached {
            program,
            resident: Weak::new(),
            is_damaged: false,
            age,
        });
        let unloaded = cache
            .iter()
            .filter(|(_, cached)| cached.resident.strong_count() == 0);
        let mut unloaded: Vec<(u64, Identity)> = unloaded
            .map(|(identity, cached)| (cached.age, identity.clone()))
            .collect();
        unloaded.sort_by_key(|(age, _)| *age);
        let too_many = unloaded.len().saturating_sub(MAX_CACHED);
        for (_, identity) in &unloaded[..too_many] {
            cache.remove(identity);
        }
        Ok(())
    }

    fn build(&self, route: Route, directory: &Path) -> Result<Program, Failure> {
        if !directory.join(MODEL_FILE).is_file() {
            return Err(Failure::no_bundle());
        }
        let target = Target::new(self.environment.chip, route);
        Source::read(directory)
            .and_then(|source| source.compile(&target, self.environment.options(&target)))
            .map_err(|error| {
                self.environment.log("neuralengine-standin", &error);
                Failure::compiler(reasons(&error))
            })
    }

    /// Loads a compiled program; the one that is loaded already, if it is.
    pub(crate) fn load(&self, identity: &Identity) -> Result<Arc<Resident>, Failure> {
        let fault = self.fault(Event::Load);
        if fault.is_some_and(|fault| ![Fault::Corrupt, Fault::Leak].contains(&fault)) {
            return Err(no_place());
        }
        let mut cache = self.cache();
        let Some(cached) = cache.get_mut(identity) else {
            let text = "the model is not compiled";
            return Err(Failure::new(Code::ProgramNotFound, text));
        };
        cached.is_damaged |= fault == Some(Fault::Corrupt);
        if cached.is_damaged {
            let text = "createProgramInstanceForModel: Program load failure (0x50001)";
            return Err(Failure::new(Code::Load, text));
        }
        let resident = match cached.resident.upgrade() {
            Some(resident) => resident,
            None => {
                let slot = self.loaded.take().map_err(|_| no_place())?;
                let new = Resident::new(&cached.program, slot, self.pool.clone());
                cached.resident = Arc::downgrade(&new);
                new
            }
        };
        if fault == Some(Fault::Leak) {
            std::mem::forget(resident.clone());
        }
        Ok(resident)
    }

    /// Gives back a loaded program.
    pub(crate) fn unload(&self, resident: Arc<Resident>) -> Result<(), Failure> {
        match self.fault(Event::Unload) {
            Some(Fault::Leak) => std::mem::forget(resident),
            Some(_) => return Err(Failure::new(Code::Load, "Program unload failure (0x50005)")),
            None => {}
        }
        Ok(())
    }

    /// Counts an event, and acts on the faults that end or hang the process.
    pub(crate) fn fault(&self, event: Event) -> Option<Fault> {
        self.environment.faults.at(event).map(Fault::act)
    }
}

/// Loses some memory.
pub(crate) fn leak() {
    std::mem::forget(vec![1_u8; LEAK_BYTES]);
}

fn no_place() -> Failure {
    let text = "createProgramInstanceForModel: Program load failure (0x50004)";
    Failure::new(Code::Load, text)
}

/// What the compiler lists.
fn reasons(error: &ProgramError) -> &'static str {
    match error {
        ProgramError::Law { violations, .. }
            if violations.iter().all(|v| SILENT_RULES.contains(&v.rule)) =>
        {
            ""
        }
        ProgramError::Plan { .. } => "CompilationFailure",
        _ => "InvalidMILProgram",
    }
}
