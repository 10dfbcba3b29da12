//! Everything that one process knows: its handles, loaded programs, engine and faults.

use crate::{
    error::E5rtError,
    handles::{Handle, Handles, Kind},
};
use ane_engine::Pool;
use ane_standin::{Environment, EnvironmentError, Fault, Loaded};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What a leak takes, so that it can be measured.
const LEAKED_BYTES: usize = 1 << 16;

/// A world of handles. The C functions share one per process; Rust programs can have several.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) environment: Environment,
    pub(crate) pool: Arc<Pool>,
    pub(crate) loaded: Loaded,
    pub(crate) handles: Handles,
    compiled: AtomicU64,
    /// Whether a compiler has returned a library.
    warm: AtomicBool,
}

impl Runtime {
    /// A world that behaves as `environment` says.
    ///
    /// # Errors
    /// When the system cannot start the engine's threads.
    pub fn new(environment: Environment) -> Result<Self, E5rtError> {
        let pool = Pool::new(environment.threads).map_err(|_| E5rtError::Exhausted("threads"))?;
        Ok(Self {
            pool: Arc::new(pool),
            loaded: Loaded::new(environment.max_loaded),
            handles: Handles::default(),
            compiled: AtomicU64::new(0),
            warm: AtomicBool::new(false),
            environment,
        })
    }

    /// The world of the C functions, made at their first call from the process's environment.
    ///
    /// # Errors
    /// When a variable means nothing, or there are no threads.
    pub fn global() -> Result<&'static Self, E5rtError> {
        static ENVIRONMENT: OnceLock<Result<Environment, EnvironmentError>> = OnceLock::new();
        static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
        let environment = ENVIRONMENT.get_or_init(Environment::read).as_ref()?;
        RUNTIME
            .get_or_init(|| Self::new(environment.clone()).ok())
            .as_ref()
            .ok_or(E5rtError::Exhausted("threads"))
    }

    /// How it behaves.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// How many handles are live.
    pub fn live_handles(&self) -> usize {
        self.handles.live()
    }

    /// How many programs are loaded.
    pub fn loaded(&self) -> usize {
        self.loaded.count()
    }

    /// How many programs have been compiled; one that came from a bundle was not.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    pub(crate) fn count_compilation(&self) {
        self.compiled.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a compiler has returned a library, without which there is no memory.
    pub fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    pub(crate) fn warmed_up(&self) {
        self.warm.store(true, Ordering::Relaxed);
    }

    /// Takes back a handle of kind `T`.
    pub(crate) fn release<T: Kind>(&self, handle: Handle) -> Result<(), E5rtError> {
        self.handles.release::<T>(handle).map(drop)
    }
}

/// Takes memory that nobody gives back, if that is the fault.
pub(crate) fn leak(fault: Option<Fault>) {
    if fault == Some(Fault::Leak) {
        std::mem::forget(vec![1_u8; LEAKED_BYTES]);
    }
}
