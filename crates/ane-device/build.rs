//! Says where there is Objective-C: on macOS, and under GNUstep where the feature asks for it.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(objective_c)");
    let is_mac = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "macos");
    if is_mac || env::var_os("CARGO_FEATURE_GNUSTEP").is_some() {
        println!("cargo::rustc-cfg=objective_c");
    }
}
