//! A device that is open, and the machine's threads.

use crate::{
    callable::Callable,
    errors::{self, DeviceError},
};
use ane_device::Settings;
use ane_engine::{Pool, simd::Isa};
use ane_train::call;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex};

/// What programs of a process share: a device, held by whoever runs.
pub(crate) type Shared = Arc<Mutex<call::Session>>;

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
        let mut settings = Settings::default();
        if let Some(target) = target {
            settings.target = target
                .parse()
                .map_err(|e| DeviceError::new_err(format!("{e}")))?;
        }
        let every = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(every);
        py.detach(|| {
            let pool = Pool::new(threads).map_err(|e| {
                DeviceError::new_err(format!("cannot start {threads} threads: {e}"))
            })?;
            let pool = Arc::new(pool);
            settings.pool = Some(pool.clone());
            let opened = ane_device::open(device, &settings)
                .map_err(|e| DeviceError::new_err(e.to_string()))?;
            let (device, target) = (opened.name().to_owned(), opened.target().to_string());
            let session = call::Session::new(opened, pool, Isa::detect());
            Ok(Self {
                shared: Arc::new(Mutex::new(session)),
                device,
                target,
                threads,
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
