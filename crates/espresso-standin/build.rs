//! Keeps the library in the process once it is loaded.
//!
//! Threads of the engine run its code until the process ends, so closing the library must not unmap it; the framework
//! that it stands in for cannot be unloaded either.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
