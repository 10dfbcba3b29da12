//! The `_ANE*` classes, one file each.
//!
//! Methods that no route of ours calls are left out: chaining, real time, shared events, completion handlers, statistics.

pub(crate) mod client;
pub(crate) mod descriptor;
pub(crate) mod device_info;
pub(crate) mod in_memory_model;
pub(crate) mod model;
pub(crate) mod request;
pub(crate) mod surface_object;

/// Registers all of them, and IOSurface.
pub(crate) fn register() {
    crate::surface::register();
    client::register();
    descriptor::register();
    device_info::register();
    in_memory_model::register();
    model::register();
    request::register();
    surface_object::register();
}
