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
    Err(AppleError::LibraryMissing {
        library: path.to_owned(),
        reason: REASON.into(),
        variable: super::options::NEURAL_ENGINE,
    })
}
