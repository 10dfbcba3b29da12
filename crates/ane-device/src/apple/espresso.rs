//! Espresso's C functions as safe Rust.
//!
//! The framework is opened once and never closed. Objects of the framework are values here, released exactly once, in
//! the order that their fields are declared in. Every failure carries the function, its code, the framework's own words
//! where it has any, and the program that it was about.

mod objects;
mod symbols;

pub(super) use objects::{BufferObject, Function, Library, Operation, Stream};

use super::{AppleError, options};
use ane_ir::Route;
use std::{
    ffi::{CStr, CString, c_char, c_void},
    path::Path,
    ptr::{self, NonNull},
    sync::Arc,
};
use symbols::Symbols;

/// Bit of the engine among the kinds of hardware that a program may be compiled for.
const NEURAL_ENGINE: u64 = 4;

/// The opened framework.
#[derive(Debug)]
pub(super) struct Espresso {
    symbols: Symbols,
}

/// What to try when a call fails.
pub(super) const ADVICE: &str =
    "other programs on the engine may hold what it needs; end them, or try another --route";

impl Espresso {
    /// Opens the framework at `path`.
    ///
    /// # Errors
    /// [`AppleError::LibraryMissing`], or [`AppleError::SymbolMissing`] for the first function that is not there.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, AppleError> {
        let symbols = Symbols::load(path, options::ESPRESSO)?;
        Ok(Arc::new(Self { symbols }))
    }

    /// Turns a code into an error. The functions are declared to return 64 bits and have also been seen called as
    /// returning 32; the low half is the code in both cases.
    fn check(&self, symbol: &'static str, returned: i64, mil: &Path) -> Result<(), AppleError> {
        let code = returned as i32;
        if code == 0 {
            return Ok(());
        }
        Err(AppleError::Call {
            symbol,
            code,
            text: self.last_words(),
            mil: mil.to_owned(),
            advice: ADVICE,
        })
    }

    /// `: ` and what the framework says about its last failure, or nothing.
    fn last_words(&self) -> String {
        let Some(last_error_message) = self.symbols.last_error_message else {
            return String::new();
        };
        // SAFETY: the function takes nothing and returns a C string that stays until the thread's next call, or null.
        let text = unsafe {
            let text = last_error_message();
            if text.is_null() {
                return String::new();
            }
            CStr::from_ptr(text).to_string_lossy().into_owned()
        };
        if text.is_empty() {
            text
        } else {
            format!(": {text}")
        }
    }

    /// Makes an object with a function that returns it through its first parameter.
    fn make(
        self: &Arc<Self>,
        create: Create,
        release: Release,
        mil: &Path,
        call: impl FnOnce(*mut *mut c_void) -> i64,
    ) -> Result<Handle, AppleError> {
        let mut object = ptr::null_mut();
        let returned = call(&raw mut object);
        self.check(create.0, returned, mil)?;
        let object = NonNull::new(object).ok_or(AppleError::Nothing { call: create.0 })?;
        Ok(Handle {
            object,
            release,
            espresso: self.clone(),
        })
    }

    /// Compiles the text at `mil` for the engine of `chip`, or of this machine when none is said, with the compiler's own files in `cache`.
    ///
    /// # Errors
    /// [`AppleError::CompileRefused`] when the compiler does not take the program, [`AppleError::Call`] when something
    /// around it fails.
    pub(super) fn compile(
        self: &Arc<Self>,
        mil: &Path,
        cache: &Path,
        chip: Option<&str>,
    ) -> Result<Library, AppleError> {
        let s = &self.symbols;
        let architecture = chip.map(|c| c_string(format!("TargetArchitecture={c}").as_bytes()));
        let (path, cache) = (c_path(mil), c_path(cache));
        let segmenter = c"graph";
        let check = |(symbol, returned): (&'static str, i64)| self.check(symbol, returned, mil);
        // Of every call below: the prototypes are those that `symbols` documents; objects are live handles of the kind that
        // the parameter wants, strings are terminated and outlive the call.
        let config = self.make(
            Create("e5rt_e5_compiler_config_options_create"),
            s.config_release,
            mil,
            // SAFETY: as said above.
            |out| unsafe { (s.config_create)(out) },
        )?;
        check((
            "e5rt_e5_compiler_config_options_set_cache_bundle_location",
            // SAFETY: as said above.
            unsafe { (s.config_set_cache)(config.get(), cache.as_ptr()) },
        ))?;
        let compiler = self.make(
            Create("e5rt_e5_compiler_create_with_config"),
            s.compiler_release,
            mil,
            // SAFETY: as said above.
            |out| unsafe { (s.compiler_create)(out, config.get()) },
        )?;
        let options = self.make(
            Create("e5rt_e5_compiler_options_create"),
            s.options_release,
            mil,
            // SAFETY: as said above.
            |out| unsafe { (s.options_create)(out) },
        )?;
        let o = options.get();
        check((
            "e5rt_e5_compiler_options_set_compute_device_types_mask",
            // SAFETY: as said above.
            unsafe { (s.options_set_mask)(o, NEURAL_ENGINE) },
        ))?;
        // SAFETY: as said above.
        check(("e5rt_e5_compiler_options_set_segmenter", unsafe {
            (s.options_set_segmenter)(o, segmenter.as_ptr())
        }))?;
        if let Some(architecture) = architecture {
            check((
                "e5rt_e5_compiler_options_set_custom_ane_compiler_options",
                // SAFETY: as said above.
                unsafe { (s.options_set_custom)(o, architecture.as_ptr()) },
            ))?;
        }
        const COMPILE: &str = "e5rt_e5_compiler_compile";
        let compiled = self.make(Create(COMPILE), s.library_release, mil, |out| {
            // SAFETY: as said above.
            unsafe { (s.compile)(compiler.get(), path.as_ptr(), o, out) }
        });
        drop((options, compiler, config));
        match compiled {
            Ok(handle) => Ok(Library::new(handle, mil)),
            Err(AppleError::Call { code, text, .. }) => {
                let reason = format!("{code}{text}");
                Err(AppleError::refused(COMPILE, reason, mil, Route::E5rt, chip))
            }
            Err(e) => Err(e),
        }
    }
}

/// The name of a function that makes an object.
struct Create(&'static str);

/// A function that releases an object and forgets the pointer to it.
type Release = unsafe extern "C" fn(*mut *mut c_void) -> i64;

/// An object of the framework, released when dropped.
#[derive(Debug)]
struct Handle {
    object: NonNull<c_void>,
    release: Release,
    espresso: Arc<Espresso>,
}

// SAFETY: the framework's objects belong to no thread; a handle is used by one thread at a time.
unsafe impl Send for Handle {}
// SAFETY: what a shared handle gives out is the pointer alone; the owners of handles order the calls that change objects.
unsafe impl Sync for Handle {}

impl Handle {
    fn get(&self) -> *mut c_void {
        self.object.as_ptr()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut object = self.get();
        // SAFETY: the object is live, and released here only. A failure leaves nothing to be done about it.
        let _ = unsafe { (self.release)(&raw mut object) };
    }
}

/// A terminated string; what follows a zero byte is cut off, and paths and names of ours have none.
fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).expect("cut off at the first zero byte")
}

fn c_path(path: &Path) -> CString {
    c_string(path.as_os_str().as_encoded_bytes())
}

/// What `e5rt_get_last_error_message` is.
type LastErrorMessage = unsafe extern "C" fn() -> *const c_char;
