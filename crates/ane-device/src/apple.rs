//! The Apple Neural Engine, through Apple's private frameworks.
//!
//! Three routes lead to it, each a device of its own behind the name `apple`: `e5rt` is the C functions of Espresso,
//! `client` and `memory` are Objective-C classes of AppleNeuralEngine. The target says which is taken. Everything is
//! looked up at run time, so that the device compiles everywhere and a missing or changed function is an error that
//! names it. Files can take the place of the frameworks, which is how the device is tested where there are none.

mod budget;
mod e5rt;
mod error;
mod espresso;
mod options;
mod poison;
mod program_dir;
mod system;

pub use error::AppleError;
pub use options::AppleOptions;
pub use system::{Detection, System, detect};

use crate::{Device, DeviceError, Entry, Settings};
use ane_ir::Route;

pub(super) const ENTRY: Entry = Entry {
    name: "apple",
    summary: "the Apple Neural Engine, by the route that the target names",
    open,
};

fn open(settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    let mut settings = settings.clone();
    if !settings.target.is_chip() {
        settings.target.chip = detect().chip;
    }
    let route = settings.target.route;
    match route {
        Route::E5rt => Ok(Box::new(e5rt::E5rt::open(&settings)?)),
        Route::Client | Route::Memory => Err(AppleError::Route {
            route,
            reason: "this build has no Objective-C".into(),
        }
        .into()),
    }
}
