//! The routes `client` and `memory` where there is no Objective-C.

use super::{AppleError, system::EngineInfo};
use crate::{Device, DeviceError, Settings};
use std::path::Path;

const REASON: &str =
    "this build has no Objective-C, which macOS has, and Linux with the feature `gnustep`";

/// Says that the route cannot be taken.
///
/// # Errors
/// Always.
pub(super) fn open(settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    Err(AppleError::Route {
        route: settings.target.route,
        reason: REASON.into(),
    }
    .into())
}

/// Says that the engine cannot be asked.
///
/// # Errors
/// Always.
pub(super) fn engine_info(path: &Path) -> Result<EngineInfo, AppleError> {
    Err(missing(path))
}

/// Says that there are no classes to be asked about.
///
/// # Errors
/// Always.
pub(crate) fn encodings(path: &Path) -> Result<Vec<(&'static str, Vec<String>)>, AppleError> {
    Err(missing(path))
}

fn missing(path: &Path) -> AppleError {
    AppleError::LibraryMissing {
        library: path.to_owned(),
        reason: REASON.into(),
        variable: super::options::NEURAL_ENGINE,
    }
}
