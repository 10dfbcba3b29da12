//! What `_ANEDeviceInfo` says of the engine.

use super::{
    classes::{self, Boolean, DEVICE_INFO},
    load,
};
use crate::apple::{AppleError, options, system::EngineInfo};
use objc2::{
    msg_send,
    rc::{Retained, autoreleasepool},
    runtime::{AnyClass, AnyObject},
};
use objc2_foundation::NSString;
use std::path::Path;

/// Asks the class in the framework at `path`.
///
/// # Errors
/// When the framework cannot be opened, or the class or a method is not what it was.
pub(crate) fn engine_info(path: &Path) -> Result<EngineInfo, AppleError> {
    load(path, options::NEURAL_ENGINE)?;
    classes::check(DEVICE_INFO, path)?;
    let class = classes::class(c"_ANEDeviceInfo");
    let info = autoreleasepool(|_| {
        // SAFETY: `check` has compared the encodings of these methods with the types they are called with.
        let (has_engine, cores, engines): (Boolean, u32, u32) = unsafe {
            (
                msg_send![class, hasANE],
                msg_send![class, numANECores],
                msg_send![class, numANEs],
            )
        };
        EngineInfo {
            has_engine: has_engine.0,
            architecture: text(class, Text::Architecture),
            sub_type: text(class, Text::SubType),
            cores,
            engines,
            product: text(class, Text::Product),
            build: text(class, Text::Build),
        }
    });
    Ok(info)
}

/// Methods that return a string.
#[derive(Clone, Copy)]
enum Text {
    Architecture,
    Build,
    Product,
    SubType,
}

/// A string of the class; `None` where it returns nil or nothing.
fn text(class: &AnyClass, which: Text) -> Option<String> {
    // SAFETY: `check` has compared the encodings of these methods: nothing in, an object or nil out.
    let object: Option<Retained<AnyObject>> = unsafe {
        match which {
            Text::Architecture => msg_send![class, aneArchitectureType],
            Text::Build => msg_send![class, buildVersion],
            Text::Product => msg_send![class, productName],
            Text::SubType => msg_send![class, aneSubType],
        }
    };
    let text = object?.downcast_ref::<NSString>()?.to_string();
    Some(text).filter(|text| !text.is_empty())
}
