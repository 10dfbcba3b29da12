//! `_ANEDeviceInfo`: the machine that `ANE_STANDIN_CHIP` pretends to be, and that it is none.

use crate::daemon::Daemon;
use crate::plist::{Object, string};
use crate::runtime::{Method, add, no_init};
use ane_ir::Chip;
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{ClassType, define_class};

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "_ANEDeviceInfo"]
    #[derive(Debug)]
    pub(crate) struct DeviceInfo;
);

fn chip() -> Chip {
    Daemon::current().map_or(Chip::H16, |daemon| daemon.environment().chip)
}

fn returned(object: Object) -> *mut AnyObject {
    Retained::autorelease_return(object)
}

extern "C-unwind" fn has_ane(_: &AnyClass, _: Sel) -> bool {
    true
}

extern "C-unwind" fn cores(_: &AnyClass, _: Sel) -> u32 {
    16
}

extern "C-unwind" fn engines(_: &AnyClass, _: Sel) -> u32 {
    1
}

extern "C-unwind" fn board(_: &AnyClass, _: Sel) -> i64 {
    0
}

/// Such as `h16g`: the chip with the letter of the base model.
extern "C-unwind" fn architecture(_: &AnyClass, _: Sel) -> *mut AnyObject {
    returned(string(&format!("{}g", chip().name())))
}

extern "C-unwind" fn sub_type(_: &AnyClass, _: Sel) -> *mut AnyObject {
    returned(string(chip().name()))
}

/// Says that this is no Apple hardware.
extern "C-unwind" fn product(_: &AnyClass, _: Sel) -> *mut AnyObject {
    returned(string("ane-trainer stand-in"))
}

extern "C-unwind" fn build(_: &AnyClass, _: Sel) -> *mut AnyObject {
    returned(string(concat!("stand-in ", env!("CARGO_PKG_VERSION"))))
}

pub(crate) fn register() {
    let instance = [Method(c"init", c"@16@0:8", no_init as *const ())];
    let of_class = [
        Method(
            c"aneArchitectureType",
            c"@16@0:8",
            architecture as *const (),
        ),
        Method(c"aneBoardType", c"q16@0:8", board as *const ()),
        Method(c"aneSubType", c"@16@0:8", sub_type as *const ()),
        Method(c"buildVersion", c"@16@0:8", build as *const ()),
        Method(c"hasANE", c"B16@0:8", has_ane as *const ()),
        Method(c"numANECores", c"I16@0:8", cores as *const ()),
        Method(c"numANEs", c"I16@0:8", engines as *const ()),
        Method(c"productName", c"@16@0:8", product as *const ()),
    ];
    // SAFETY: the functions have the types that the encodings say.
    unsafe { add(DeviceInfo::class(), &instance, &of_class) };
}
