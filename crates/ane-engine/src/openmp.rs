//! The threads of the OpenMP runtime that the process has loaded, such as PyTorch's.
//!
//! They spin for milliseconds after every parallel region. Threads of our own would share the processors with them, and
//! half of a program's time was lost to that; so in a process that computes by OpenMP, programs run on its threads.

use crate::pool::Crew;
use std::ffi::{c_uint, c_void};

/// A part of a parallel region.
type Part = unsafe extern "C" fn(*mut c_void);
/// `void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags)`, of GCC's libgomp, which LLVM's
/// runtime has too.
type Parallel = unsafe extern "C" fn(Part, *mut c_void, c_uint, c_uint);

/// A runtime of OpenMP.
pub struct OpenMp {
    parallel: Parallel,
}

impl OpenMp {
    /// The one whose symbols the whole process sees, if there is one.
    #[cfg(target_os = "linux")]
    pub fn loaded() -> Option<Self> {
        // SAFETY: the name is a string of C, and the whole process is asked.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"GOMP_parallel".as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: the function of this name is part of the interface between compiled code and the runtime, and has this
        // type wherever it exists.
        let parallel = unsafe { std::mem::transmute::<*mut c_void, Parallel>(found) };
        Some(Self { parallel })
    }

    /// None: the runtime of this system cannot be called through a symbol of this type.
    #[cfg(not(target_os = "linux"))]
    pub fn loaded() -> Option<Self> {
        None
    }
}

/// Calls what `data` points to.
extern "C" fn call_part(data: *mut c_void) {
    let part = data.cast::<&(dyn Fn() + Sync)>();
    // SAFETY: `call` passes a pointer to a reference that lives until the region is over. It is shared between threads,
    // and only read.
    let part = unsafe { *part };
    part();
}

impl Crew for OpenMp {
    fn call(&self, most: usize, mut part: &(dyn Fn() + Sync)) {
        let most = c_uint::try_from(most).unwrap_or(c_uint::MAX);
        let data: *mut &(dyn Fn() + Sync) = &raw mut part;
        // SAFETY: the runtime returns when every call has; `part` and what it borrows outlive that. A panic may not leave
        // `part` across the runtime's frames: it would end the process, as the ABI of `call_part` says.
        unsafe { (self.parallel)(call_part, data.cast(), most, 0) };
    }
}
