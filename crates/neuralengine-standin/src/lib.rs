//! A stand-in for `AppleNeuralEngine.framework` and `IOSurface.framework`.
//!
//! The `_ANE*` classes, and the C functions of IOSurface, under GNUstep on Linux, with the software engine behind them.
//! They are as strict as the real ones are reported to be, so that a program that works with them has at least kept every
//! rule that is known; where reports contradict each other, or the real framework would crash, the head of the file says
//! what is done here. Names, spellings and type encodings of selectors are the real ones, read from macOS 27.
//!
//! Loading the library registers the classes. `ane_standin::Environment` lists the variables it obeys.
//!
//! | concern | file |
//! |---|---|
//! | every class, method by method | `classes` |
//! | registering them with their exact encodings | `runtime` |
//! | programs that are compiled, cached and loaded | `daemon` |
//! | one loaded program, and evaluating it | `resident` |
//! | order of symbols | `symbols` |
//! | what `modelAttributes` says | `attributes` |
//! | rows, planes and sizes of surfaces | `geometry` |
//! | IOSurface | `surface` |
//! | error codes and texts | `failure` |
//!
//! # Booleans
//!
//! `BOOL` is encoded `B`, and passed as a C `bool`, as on a Mac with Apple silicon. GNUstep's own `BOOL` is an unsigned
//! char, and so is `objc2::runtime::Bool` on Linux, which therefore does not fit these methods: send with a transparent
//! wrapper of `bool` whose encoding is `Encoding::Bool`.
//!
//! # Exceptions and pools
//!
//! Nothing here raises an exception. Objects are returned autoreleased; without a pool they leak, as on a Mac.
//!
//! Without the feature `gnustep` the library is empty.

#![allow(unsafe_code)]

#[cfg(feature = "gnustep")]
mod attributes;
#[cfg(feature = "gnustep")]
mod classes;
#[cfg(feature = "gnustep")]
mod daemon;
#[cfg(feature = "gnustep")]
mod failure;
#[cfg(feature = "gnustep")]
mod geometry;
#[cfg(feature = "gnustep")]
mod plist;
#[cfg(feature = "gnustep")]
mod resident;
#[cfg(feature = "gnustep")]
mod runtime;
#[cfg(feature = "gnustep")]
mod surface;
#[cfg(feature = "gnustep")]
mod symbols;

#[cfg(feature = "gnustep")]
pub use ane_standin as standin;
#[cfg(feature = "gnustep")]
pub use daemon::{loaded_programs, restart};
#[cfg(feature = "gnustep")]
pub use runtime::{live_objects, register};
#[cfg(feature = "gnustep")]
pub use surface::functions as iosurface;

use std::path::PathBuf;

/// Where cargo has put the shared library, seen from a test or a program that it has built in the same profile.
///
/// # Errors
/// When it is not there; the text says where it was looked for.
pub fn library_path() -> Result<PathBuf, String> {
    let name = "libneuralengine_standin.so";
    let program = std::env::current_exe().map_err(|e| format!("the program has no path: {e}"))?;
    let folders = program.ancestors().skip(1).take(2);
    let places: Vec<PathBuf> = folders
        .flat_map(|folder| [folder.join(name), folder.join("deps").join(name)])
        .collect();
    let found = places.iter().find(|place| place.is_file());
    found
        .cloned()
        .ok_or_else(|| format!("none of these is there: {places:?}"))
}
