//! `cargo xtask mac-check`: the workspace compiled, linted and linked for macOS, on a machine that is none.
//!
//! Code for macOS alone is seen by no other check on such a machine. This one proves types and the names of symbols, not behaviour.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::Table;

use crate::process;
use crate::unavailable::Unavailable;

mod sdk;
mod toolchain;

use toolchain::{Toolchain, Version};

/// What is compiled for.
const TARGET: &str = "aarch64-apple-darwin";

/// The program that is linked.
const PROGRAM: &str = "ane-trainer";

/// Compiles and lints everything for macOS, and links the program; [`Unavailable`] where the tools for it cannot be had.
pub(crate) fn run(root: &Path) -> Result<()> {
    if env::consts::OS == "macos" {
        let reason = "on macOS the other stages compile for it";
        return Err(Unavailable(reason.to_owned()).into());
    }
    let home = process::target_folder(root).join("mac-check");
    let linker = toolchain::linker(root)?;
    let toolchain = Toolchain::prepare(&home, least_rust(root)?)?;
    let sdk = home.join("sdk");
    sdk::write(root, &sdk)?;
    let settings = home.join("cargo.toml");
    fs::write(&settings, config(&toolchain, &linker, &home)?)?;

    let mut clippy = toolchain.command(root, "cargo-clippy");
    clippy
        .args(["clippy", "--config"])
        .arg(&settings)
        .args(["--workspace", "--all-targets", "--locked"])
        .args(["--", "-D", "warnings"]);
    process::run(&mut clippy)?;
    let mut link = toolchain.command(root, "cargo");
    let program = ["--package", PROGRAM, "--bin", PROGRAM, "--locked"];
    link.args(["rustc", "--config"]).arg(&settings);
    // Symbols are the same whatever is optimised, and half of the time goes into that.
    link.args(["--config", "profile.dev.opt-level=0"]);
    // The list of what is missing is only of use when it is whole.
    link.args(program)
        .args(["--", "-Clink-arg=--error-limit=0"]);
    process::run(&mut link).with_context(|| {
        format!(
            "the program does not link: a symbol of macOS that it needs has to be listed in {}",
            sdk::LIBRARIES
        )
    })
}

/// The settings of cargo, as the text of a file.
///
/// Debug information and stripping would ask for tools that the toolchain does not have.
fn config(toolchain: &Toolchain, linker: &Path, home: &Path) -> Result<String> {
    let path = |path: PathBuf| serde_json::to_string(&path).context("a path is not Unicode");
    let (rustc, rustdoc) = (toolchain.program("rustc"), toolchain.program("rustdoc"));
    let lines = [
        "[build]".to_owned(),
        format!("target = \"{TARGET}\""),
        format!("target-dir = {}", path(home.join("build"))?),
        format!("rustc = {}", path(rustc)?),
        format!("rustdoc = {}", path(rustdoc)?),
        "[env]".to_owned(),
        format!(
            "CC_{} = {}",
            TARGET.replace('-', "_"),
            path(toolchain.c_compiler()?)?
        ),
        format!("SDKROOT = {}", path(home.join("sdk"))?),
        "[profile.dev]".to_owned(),
        "debug = 0".to_owned(),
        "strip = \"none\"".to_owned(),
        format!("[target.{TARGET}]"),
        format!("linker = {}", path(linker.to_path_buf())?),
        "rustflags = [\"-Clinker-flavor=ld64.lld\"]".to_owned(),
    ];
    Ok(lines.join("\n") + "\n")
}

/// The oldest Rust that the workspace says it compiles with.
fn least_rust(root: &Path) -> Result<Version> {
    let manifest: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let version = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("package")?.get("rust-version")?.as_str());
    version
        .and_then(toolchain::version_in)
        .context("Cargo.toml has no workspace.package.rust-version")
}
