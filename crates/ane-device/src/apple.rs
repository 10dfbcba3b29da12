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
mod instead;
#[cfg(objective_c)]
mod objc;
#[cfg(not(objective_c))]
#[path = "apple/no_objc.rs"]
mod objc;
mod options;
mod poison;
mod program_dir;
mod system;

pub use error::AppleError;
pub(crate) use objc::encodings;
pub use options::AppleOptions;
pub use system::{Detection, EngineInfo, System, detect};
pub(crate) use system::{detect_in, physical_memory};

use crate::{Device, DeviceError, Entry, Settings};
use ane_ir::Route;

pub(super) const ENTRY: Entry = Entry {
    name: "apple",
    summary: "the Apple Neural Engine, by the route that the target names",
    open,
};

/// Routes from the one that is nearest to the engine to the one that asks least of the system.
const ORDER: [Route; 3] = [Route::Client, Route::Memory, Route::E5rt];

/// The wished route first, then the others.
fn order(wished: Route) -> impl Iterator<Item = Route> {
    let others = ORDER.into_iter().filter(move |&r| r != wished);
    std::iter::once(wished).chain(others)
}

/// Opens the target's route, or the first other one for which the system has what it needs. This holds for every route,
/// however it was asked for; the device's target and its notes say which was taken and why.
fn open(settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    let mut settings = settings.clone();
    if !settings.target.is_chip() {
        settings.target.chip = detect_in(&settings.apple).chip;
    }
    let mut reasons = Vec::new();
    for route in order(settings.target.route) {
        settings.target.route = route;
        match open_route(&settings) {
            Ok(device) if reasons.is_empty() => return Ok(device),
            Ok(device) => {
                let notes = reasons
                    .iter()
                    .map(|(r, why)| format!("route `{r}` cannot be taken, so `{route}` is: {why}"))
                    .collect();
                return Ok(Box::new(instead::Instead { device, notes }));
            }
            Err(e) if !another_route_helps(&e) => return Err(e),
            Err(e) => reasons.push((route, e.to_string())),
        }
    }
    Err(AppleError::NoRoute { reasons }.into())
}

fn open_route(settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    match settings.target.route {
        Route::E5rt => Ok(Box::new(e5rt::E5rt::open(settings)?)),
        Route::Client | Route::Memory => objc::open(settings),
    }
}

/// Whether the system lacks what this route needs, so that another may still be there.
fn another_route_helps(e: &DeviceError) -> bool {
    let DeviceError::Apple(e) = e else {
        return false;
    };
    matches!(
        **e,
        AppleError::LibraryMissing { .. }
            | AppleError::SymbolMissing { .. }
            | AppleError::ClassMissing { .. }
            | AppleError::SelectorMissing { .. }
            | AppleError::EncodingChanged { .. }
            | AppleError::Nothing { .. }
            | AppleError::Route { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_tried_the_wished_one_first() {
        for wished in Route::ALL {
            let tried: Vec<Route> = order(wished).collect();
            assert_eq!(tried[0], wished);
            assert!(Route::ALL.iter().all(|r| tried.contains(r)));
            assert_eq!(tried.len(), Route::ALL.len());
        }
    }
}
