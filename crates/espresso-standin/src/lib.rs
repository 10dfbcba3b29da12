//! Stands in for Espresso.framework on machines without a Neural Engine.
//!
//! The library `libespresso_standin.so` exports the `e5rt_*` C functions that `include/e5rt.h` declares, with the
//! prototypes of Apple's, over the software engine. It is for tests, and for running Linux programs that were written
//! for those functions: set `ANE_TRAINER_ESPRESSO` to its path. How it behaves is set by the variables of
//! [`ane_standin::Environment`].
//!
//! It is stricter than what it stands in for where that catches mistakes: a call with a null pointer, a released or
//! foreign handle, a handle of another kind, an unknown name, a buffer that is too small, or out of order is an error and
//! never undefined. Handles are numbers that are given out once, so a stale one is always noticed. Only pointers to the
//! caller's own memory are taken on trust.
//!
//! What the framework does is known from public reports alone. Where they are silent, the stand-in decides, and the
//! documentation of the module says so: the error codes ([`E5rtError`]), what compute masks do ([`compiler`]), when a
//! program counts as loaded ([`operation`]), the order of calls on streams ([`stream`]), and what events count
//! ([`event`]).
//!
//! Rust programs have the same functions as methods of [`Runtime`], each of which is a world of its own.

pub mod buffer;
mod bundle;
pub mod compiler;
mod error;
pub mod event;
pub mod ffi;
mod handles;
pub mod operation;
mod runtime;
pub mod stream;

pub use error::E5rtError;
pub use ffi::last_error;
pub use handles::Handle;
pub use runtime::Runtime;

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    path::PathBuf,
};

/// Where the library was built, as seen by a test that depends on this crate: beside the test's program, or above it.
///
/// # Errors
/// When it is in neither place; the text says where it was looked for.
pub fn library_path() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| format!("this program has no path: {e}"))?;
    let library = format!("{DLL_PREFIX}espresso_standin{DLL_SUFFIX}");
    let places: Vec<PathBuf> = program
        .ancestors()
        .skip(1)
        .take(3)
        .flat_map(|folder| [folder.join(&library), folder.join("deps").join(&library)])
        .collect();
    let found = places.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        format!(
            "{library} is not built; run `cargo build -p espresso-standin`; looked for {}",
            places.join(", ")
        )
    })
}
