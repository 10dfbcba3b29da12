//! The routes `client` and `memory`: Objective-C classes of AppleNeuralEngine, and surfaces.
//!
//! | concern | file |
//! |---|---|
//! | which methods are called, and whether they are what they were | `classes` |
//! | the messages | `messages` |
//! | memory | `surface` |
//! | which number a port has | `attributes` |
//! | a program in a directory, through `_ANEClient` | `client` |
//! | a program from memory, through `_ANEInMemoryModel` | `memory` |
//! | what is common to both: device, executable, binding | `device` |
//! | who may compile, load and unload | `turn` |
//! | what the engine says of itself | `device_info` |

mod attributes;
mod classes;
mod client;
mod device;
mod device_info;
mod memory;
mod messages;
mod surface;
mod turn;

pub(super) use device_info::engine_info;

use super::AppleError;
use crate::{Device, DeviceError, Settings};
use ane_ir::Route;
use libloading::Library;
use std::path::Path;

/// Opens the route of the target.
///
/// # Errors
/// When a framework cannot be opened, or a class or method is not what it was.
pub(super) fn open(settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    let options = &settings.apple;
    let path = &options.neural_engine;
    load(path, super::options::NEURAL_ENGINE)?;
    let methods = match settings.target.route {
        Route::Client => classes::CLIENT,
        Route::Memory | Route::E5rt => classes::MEMORY,
    };
    classes::check(methods, path)?;
    let surfaces = surface::IoSurface::open(&options.io_surface)?;
    Ok(Box::new(device::Objc::open(settings, surfaces)))
}

/// Every class that a route calls, with what its methods are and were not before.
///
/// # Errors
/// When the framework cannot be opened.
pub(crate) fn encodings(path: &Path) -> Result<Vec<(&'static str, Vec<String>)>, AppleError> {
    load(path, super::options::NEURAL_ENGINE)?;
    Ok(classes::differences(path))
}

/// Loads a framework for as long as the process lives: a runtime cannot forget classes, and would call into nothing.
fn load(path: &Path, variable: &'static str) -> Result<&'static Library, AppleError> {
    // On Linux the runtime's gaps have to be filled before a class registers.
    #[cfg(gnustep)]
    gnustep_shim::link();
    // SAFETY: the initialisers of the framework, or of the stand-in that was asked for, may run.
    let library = unsafe { Library::new(path) }.map_err(|e| AppleError::LibraryMissing {
        library: path.to_owned(),
        reason: e.to_string(),
        variable,
    })?;
    Ok(Box::leak(Box::new(library)))
}
