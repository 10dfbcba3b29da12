//! Tells the linker where the private GNUstep libraries are.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=GNUSTEP_LIBS");
    if env::var_os("CARGO_FEATURE_GNUSTEP").is_none() {
        return;
    }
    match env::var("GNUSTEP_LIBS") {
        Ok(folder) => println!("cargo::rustc-link-search=native={folder}"),
        Err(_) => println!(
            "cargo::warning=GNUSTEP_LIBS is not set, so linking will fail: run `cargo xtask gnustep` and set it to the folder printed"
        ),
    }
}
