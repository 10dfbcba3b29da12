//! The routes `client` and `memory` where there is no Objective-C.

use super::AppleError;
use crate::{Device, DeviceError, Settings};

/// Says that the route cannot be taken.
///
/// # Errors
/// Always.
pub(super) fn open(settings: &Settings) -> Result<Box<dyn Device>, DeviceError> {
    Err(AppleError::Route {
        route: settings.target.route,
        reason:
            "this build has no Objective-C, which macOS has, and Linux with the feature `gnustep`"
                .into(),
    }
    .into())
}
