//! The routes `client` and `memory` over the stand-in for AppleNeuralEngine, under GNUstep: the same bits as the
//! software device, and errors that say what to do.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "apple_objc/alone.rs"]
mod alone;
#[path = "apple_objc/cycles.rs"]
mod cycles;
#[path = "apple_objc/device_info.rs"]
mod device_info;
#[path = "apple_objc/faults.rs"]
mod faults;
#[path = "apple_objc/opening.rs"]
mod opening;
#[path = "apple_objc/ops.rs"]
mod ops;
#[path = "apple_objc/programs.rs"]
mod programs;
#[path = "apple_objc/standin.rs"]
mod standin;
