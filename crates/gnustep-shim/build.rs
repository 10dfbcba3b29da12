//! Tells the linker where the private GNUstep libraries are.
//!
//! The search path holds for every program that is linked with this crate, the one at run time for its own tests alone:
//! other programs set their own, or `LD_LIBRARY_PATH`.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=GNUSTEP_LIBS");
    if env::var_os("CARGO_FEATURE_GNUSTEP").is_none() {
        return;
    }
    match env::var("GNUSTEP_LIBS") {
        Ok(folder) => {
            println!("cargo::rustc-link-search=native={folder}");
            println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        }
        Err(_) => println!(
            "cargo::warning=GNUSTEP_LIBS is not set, so linking will fail: run `cargo xtask gnustep` and set it to the folder printed"
        ),
    }
}
