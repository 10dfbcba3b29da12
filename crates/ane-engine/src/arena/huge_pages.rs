//! Large pages for large buffers.
//!
//! Packing walks matrices in strides of about a page, and the cache finds pages by physical address: with small pages
//! both the translation buffers and the luck of their placement decide how fast a step is, differently in every run.

use std::ptr::NonNull;

/// Size and alignment of a huge page: 2 MiB on x86-64 and, with pages of 4 KiB, on aarch64.
pub(super) const SIZE: usize = 2 << 20;

/// Whether a buffer is large enough to be rounded up to huge pages.
pub(super) fn worth_it(bytes: usize) -> bool {
    cfg!(target_os = "linux") && bytes >= SIZE / 2
}

/// Asks the system for huge pages in memory that nothing has touched. It may say no: nothing depends on it.
#[cfg(target_os = "linux")]
pub(super) fn ask_for(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the advice changes no contents, and the memory is the caller's.
    let _ = unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
}

/// Asks nobody: the system chooses by itself.
#[cfg(not(target_os = "linux"))]
pub(super) fn ask_for(_: NonNull<u8>, _: usize) {}
