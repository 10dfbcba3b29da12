//! What objc2 expects of a runtime and GCC's libobjc lacks.
//!
//! objc2's `gnustep-1-7` feature is written for libobjc2. Debian's GNUstep is built for the runtime of GCC, which has the
//! same object model and most of the same functions; this crate defines the others. A program that sends messages with
//! objc2 under GNUstep calls [`link`] once, so that its linker takes them, and is linked with the libraries that
//! `cargo xtask gnustep` prepares, in the folder that `GNUSTEP_LIBS` names.
//!
//! Without the feature `gnustep` there is nothing here: on macOS the system's runtime is complete.

#![allow(unsafe_code)]

#[cfg(feature = "gnustep")]
mod introspection;
#[cfg(feature = "gnustep")]
mod memory;
#[cfg(feature = "gnustep")]
mod send;

/// Makes the linker keep the functions of this crate; does nothing else.
pub fn link() {
    #[cfg(feature = "gnustep")]
    {
        let kept: [*const (); 2] = [
            introspection::method_getTypeEncoding as *const (),
            memory::objc_retain as *const (),
        ];
        std::hint::black_box(kept);
    }
}
