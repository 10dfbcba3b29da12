//! A device that is open, and the machine's threads.

use crate::{
    callable::Callable,
    errors::{self, DeviceError},
};
use ane_device::{Device, Settings};
use ane_engine::{OpenMp, Pool, simd::Isa};
use ane_train::call;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex};

/// What programs of a process share: a device, held by whoever runs.
pub(crate) type Shared = Arc<Mutex<call::Session>>;

/// A device that was opened by name, and the threads that it shares with the host.
pub(crate) struct Opened {
    pub(crate) device: Box<dyn Device>,
    pub(crate) pool: Arc<Pool>,
}

impl Opened {
    /// Opens the device `name` for a target, on so many threads; every core when left out. Where the process computes by
    /// OpenMP already, they are that runtime's.
    pub(crate) fn new(name: &str, target: Option<&str>, threads: Option<usize>) -> PyResult<Self> {
        let mut settings = Settings::default();
        if let Some(target) = target {
            settings.target = target
                .parse()
                .map_err(|e| DeviceError::new_err(format!("{e}")))?;
        }
        let every = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(every);
        let pool = match OpenMp::loaded() {
            Some(openmp) => Pool::of_crew(threads, Box::new(openmp)),
            None => Pool::new(threads),
        };
        let pool =
            pool.map_err(|e| DeviceError::new_err(format!("cannot start {threads} threads: {e}")))?;
        let pool = Arc::new(pool);
        settings.pool = Some(pool.clone());
        let device =
            ane_device::open(name, &settings).map_err(|e| DeviceError::new_err(e.to_string()))?;
        Ok(Self { device, pool })
    }
}

/// An open device.
#[pyclass(frozen)]
pub(crate) struct Session {
    shared: Shared,
    #[pyo3(get)]
    device: String,
    #[pyo3(get)]
    target: String,
    #[pyo3(get)]
    threads: usize,
}

#[pymethods]
impl Session {
    /// Opens a device by name for a target, on so many threads; every core when left out.
    #[new]
    #[pyo3(signature = (device, target=None, threads=None))]
    fn new(
        py: Python<'_>,
        device: &str,
        target: Option<&str>,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let Opened { device, pool } = Opened::new(device, target, threads)?;
            Ok(Self {
                device: device.name().to_owned(),
                target: device.target().to_string(),
                threads: pool.threads(),
                shared: Arc::new(Mutex::new(call::Session::new(device, pool, Isa::detect()))),
            })
        })
    }

    /// Compiles the forward graph of a call, from its JSON.
    fn compile(&self, py: Python<'_>, graph: &str) -> PyResult<Callable> {
        py.detach(|| Callable::compile(self.shared.clone(), graph))
    }

    /// Programs compiled and programs run, by the device's own count.
    fn counts(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        py.detach(|| {
            let counts = locked(&self.shared)?.counts();
            Ok((counts.compiles, counts.dispatches))
        })
    }
}

/// The device of a session.
///
/// # Errors
/// When a program failed in a way that leaves nothing to go on with.
pub(crate) fn locked(shared: &Shared) -> PyResult<std::sync::MutexGuard<'_, call::Session>> {
    shared.lock().map_err(|_| {
        errors::AneError::new_err("an earlier program failed; start a new process to go on")
    })
}
