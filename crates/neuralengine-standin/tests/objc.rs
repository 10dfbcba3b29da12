//! The rules of the classes and of IOSurface, through messages and C calls alone.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "objc/alone.rs"]
mod alone;
#[path = "objc/binding.rs"]
mod binding;
#[path = "objc/client.rs"]
mod client;
#[path = "objc/descriptor.rs"]
mod descriptor;
#[path = "objc/encodings.rs"]
mod encodings;
#[path = "objc/faults.rs"]
mod faults;
#[path = "objc/framework.rs"]
mod framework;
#[path = "objc/limits.rs"]
mod limits;
#[path = "objc/memory.rs"]
mod memory;
#[path = "objc/surfaces.rs"]
mod surfaces;
