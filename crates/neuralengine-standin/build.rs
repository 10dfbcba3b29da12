//! Lets the library and its tests find the private GNUstep libraries when they run.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=GNUSTEP_LIBS");
    if env::var_os("CARGO_FEATURE_GNUSTEP").is_none() {
        return;
    }
    if let Ok(folder) = env::var("GNUSTEP_LIBS") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
