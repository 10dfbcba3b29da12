//! Says where there is Objective-C: on macOS, and under GNUstep on Linux where the feature asks for it.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(gnustep)");
    println!("cargo::rustc-check-cfg=cfg(objective_c)");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let is_asked_for = env::var_os("CARGO_FEATURE_GNUSTEP").is_some();
    // The feature changes nothing on macOS, which has a runtime without gaps.
    let is_gnustep = system == "linux" && is_asked_for;
    if is_gnustep {
        println!("cargo::rustc-cfg=gnustep");
    }
    if is_gnustep || system == "macos" {
        println!("cargo::rustc-cfg=objective_c");
    }
}
