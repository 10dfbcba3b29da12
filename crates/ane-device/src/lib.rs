//! Running programs: devices, buffers and executables, in the nouns of PJRT.
//!
//! A [`Device`] compiles an [`ane_mil::LegalGraph`] into an [`Executable`]; buffers are bound to its ports by name, once; a
//! [`Bound`] executable runs as often as wanted. Who validates: `ane_mil::check` does, before compiling; devices do not
//! repeat it. The device itself counts compiles and dispatches, so that reports do not depend on what a planner
//! believes.
//!
//! ```
//! use ane_device::{Settings, open};
//! use ane_ir::{Graph, TensorType};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = open("software", &Settings::default())?;
//! let mut g = Graph::new();
//! let x = g.input("x", TensorType::fp16([2]))?;
//! let y = g.abs(x)?;
//! g.output("y", y)?;
//! let legal = ane_mil::check(g, device.target()).map_err(|v| v[0].to_string())?;
//! let program = device.compile(&legal)?;
//! let x = device.allocate(&TensorType::fp16([2]))?;
//! let y = device.allocate(&TensorType::fp16([2]))?;
//! x.copy_in(&[-1.5, 2.0])?;
//! program.bind(&[("x", &x), ("y", &y)])?.execute()?;
//! assert_eq!(y.copy_out(), [1.5, 2.0]);
//! assert_eq!(device.counts().dispatches, 1);
//! # Ok(())
//! # }
//! ```

mod apple;
mod buffer;
mod device;
mod engine_lock;
mod error;
mod hardware;
mod memory;
mod null;
mod power;
#[cfg(target_os = "macos")]
#[path = "power/macmon.rs"]
mod power_source;
#[cfg(not(target_os = "macos"))]
#[path = "power/nowhere.rs"]
mod power_source;
pub mod probe;
mod process_lock;
mod software;
mod supervised;
pub mod trial;

pub use ane_engine::{MemoryUse, UnitTime};
pub use apple::{AppleError, AppleOptions, Detection, EngineInfo, System, detect};
pub use buffer::{Buffer, Layout};
pub use device::{Bound, Counter, Counts, Device, Executable, Port};
pub use engine_lock::EngineLock;
pub use error::DeviceError;
pub use hardware::Hardware;
pub use memory::available_memory;
pub use power::{Power, PowerError, PowerMeter, PowerSource};
pub use process_lock::{LockError, ProcessLock};
pub use supervised::{MEMORY_VARIABLE, Supervised, SupervisedError, Supervision, Worker, serve};

use ane_engine::{Pool, simd::Isa};
use ane_ir::{Numerics, Route, Target};
use std::sync::Arc;

/// What a device is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The target whose limits and quirks programs are held to.
    pub target: Target,
    /// The numeric policy of devices that model one.
    pub numerics: Numerics,
    /// Instruction set of the software engine.
    pub isa: Isa,
    /// Threads that devices and the host share; made by the device when left out.
    pub pool: Option<Arc<Pool>>,
    /// Where the device `apple` finds its frameworks and keeps its files.
    pub apple: AppleOptions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: Target::SOFTWARE,
            numerics: Numerics::ieee(),
            isa: Isa::detect(),
            pool: None,
            apple: AppleOptions::default(),
        }
    }
}

/// A device that can be opened by name.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Opens it.
    pub open: fn(&Settings) -> Result<Box<dyn Device>, DeviceError>,
}

/// Every device, in alphabetical order.
pub const DEVICES: &[Entry] = &[apple::ENTRY, null::ENTRY, software::ENTRY];

/// The name of the best device here: `apple` where there is a Neural Engine and its frameworks can be opened, `software`
/// everywhere else.
pub fn best() -> &'static str {
    let found = detect();
    let settings = Settings {
        // The route only says which is tried first.
        target: Target::new(found.chip, Route::E5rt),
        ..Settings::default()
    };
    if found.engine && open(apple::ENTRY.name, &settings).is_ok() {
        apple::ENTRY.name
    } else {
        software::ENTRY.name
    }
}

/// Opens the device called `name`; `auto` is the best there is. A device that is a chip takes the target `software` for
/// the chip of this machine.
///
/// # Errors
/// When there is none of that name, or it cannot be opened.
pub fn open(name: &str, settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    (find(name)?.open)(settings)
}

/// The device called `name`; `auto` is the best there is.
fn find(name: &str) -> Result<&'static Entry, DeviceError> {
    let name = if name == "auto" { best() } else { name };
    DEVICES
        .iter()
        .find(|e| e.name == name)
        .ok_or_else(|| DeviceError::Unknown {
            name: name.to_owned(),
            known: DEVICES.iter().map(|e| e.name).collect(),
        })
}
