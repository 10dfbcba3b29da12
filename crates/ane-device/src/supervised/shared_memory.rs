//! One file without a name that two processes map: what tensors and programs cross in.
//!
//! The file is handed to the worker as its standard output, and lives until both have closed it, however they end. Its
//! first [`GRAIN`] stays unused, because a worker may print something before it takes the file away from its output.

use super::SupervisedError;
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};
use serde::{Deserialize, Serialize};
use std::{fs::File, path::Path, path::PathBuf, ptr::NonNull};

/// Spans start and end at multiples of this, which every page size divides.
const GRAIN: u64 = 64 * 1024;

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Span {
    /// Where it starts.
    start: u64,
    /// Its size, a multiple of [`GRAIN`].
    size: u64,
    /// Bytes in use.
    bytes: u64,
}

/// The file, and which parts of it are free.
#[derive(Debug)]
pub(super) struct SharedMemory {
    file: File,
    directory: PathBuf,
    end: u64,
    free: Vec<Span>,
}

impl SharedMemory {
    /// An empty file in `directory`.
    pub(super) fn create(directory: &Path) -> Result<Self, SupervisedError> {
        let mut memory = Self {
            file: tempfile::tempfile_in(directory).map_err(|source| SupervisedError::Memory {
                needed: GRAIN,
                directory: directory.to_owned(),
                source,
            })?,
            directory: directory.to_owned(),
            end: 0,
            free: Vec::new(),
        };
        memory.grow(GRAIN)?;
        Ok(memory)
    }

    /// The file, for the worker.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file `size` longer, with memory behind it: touching a page that cannot be had would end the process.
    fn grow(&mut self, size: u64) -> Result<(), SupervisedError> {
        let error = |source: std::io::Error| SupervisedError::Memory {
            needed: size,
            directory: self.directory.clone(),
            source,
        };
        match fallocate(&self.file, FallocateFlags::empty(), self.end, size) {
            Ok(()) => {}
            // A file system that cannot promise memory still has it most of the time.
            Err(Errno::OPNOTSUPP) => self.file.set_len(self.end + size).map_err(error)?,
            Err(e) => {
                // What was taken before the memory ran out must not stay taken.
                self.file.set_len(self.end).map_err(error)?;
                return Err(error(e.into()));
            }
        }
        self.end += size;
        Ok(())
    }

    /// A span of `bytes`, mapped and zero.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(Span, Mapping), SupervisedError> {
        let bytes = bytes as u64;
        let size = bytes.max(1).next_multiple_of(GRAIN);
        let reused = self.free.iter().position(|s| s.size == size);
        let (span, dirty) = match reused {
            Some(i) => (
                Span {
                    bytes,
                    ..self.free.swap_remove(i)
                },
                true,
            ),
            None => {
                let start = self.end;
                self.grow(size)?;
                (Span { start, size, bytes }, false)
            }
        };
        let mapping = match Mapping::of(&self.file, span) {
            Ok(mapping) => mapping,
            Err(source) => {
                self.free.push(span);
                return Err(SupervisedError::Memory {
                    needed: size,
                    directory: self.directory.clone(),
                    source,
                });
            }
        };
        if dirty {
            mapping.write(|all| all.fill(0));
        }
        Ok((span, mapping))
    }

    /// A span that holds `bytes`, for a request.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> Result<Span, SupervisedError> {
        let (span, mapping) = self.allocate(bytes.len())?;
        mapping.write(|all| all.copy_from_slice(bytes));
        Ok(span)
    }

    /// Takes back a span that nobody maps any more.
    pub(super) fn release(&mut self, span: Span) {
        self.free.push(span);
    }
}

/// A span in this process's memory, until dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    size: usize,
}

// SAFETY: plain bytes without a tie to a thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; who reads and writes when is settled by the callers.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `span` of `file`.
    pub(super) fn of(file: &File, span: Span) -> std::io::Result<Self> {
        let length = file.metadata()?.len();
        if span.size == 0
            || span.bytes > span.size
            || span
                .start
                .checked_add(span.size)
                .is_none_or(|end| end > length)
        {
            return Err(std::io::Error::other(format!(
                "{span:?} lies outside of {length} shared bytes"
            )));
        }
        let (size, bytes) = (span.size as usize, span.bytes as usize);
        // SAFETY: the system chooses the place, so nothing that exists is replaced; the span lies inside the file.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                span.start,
            )?
        };
        let start = NonNull::new(start.cast()).expect("a mapping does not start at zero");
        Ok(Self { start, bytes, size })
    }

    /// Where it starts, at a page.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads the bytes; the other process leaves them alone, as the protocol says.
    pub(super) fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        // SAFETY: mapped until `self` is dropped. A span is in the hands of one side at a time: of the worker between a
        // request that names it and the answer, of the parent otherwise.
        f(unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) })
    }

    /// Changes the bytes, under the same condition, and that nothing else in this process uses the mapping.
    pub(super) fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        // SAFETY: as in `read`; parent and worker each have one thread that holds the span, under the session's lock.
        f(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this size; no reference outlives `self`. An error would leave it mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_of_a_span_are_one_memory_and_reuse_is_clean() {
        let mut memory = SharedMemory::create(&std::env::temp_dir()).unwrap();
        let (span, mine) = memory.allocate(10).unwrap();
        let theirs = Mapping::of(memory.file(), span).unwrap();
        mine.write(|b| b[9] = 7);
        theirs.read(|b| assert_eq!(b, [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]));
        drop((mine, theirs));
        memory.release(span);
        let length = memory.file().metadata().unwrap().len();
        let (again, mine) = memory.allocate(20).unwrap();
        assert_eq!(again.start, span.start);
        mine.read(|b| assert_eq!(b, [0; 20]));
        assert_eq!(memory.file().metadata().unwrap().len(), length);
    }

    #[test]
    fn memory_that_is_not_there_is_an_error_with_its_size() {
        let mut memory = SharedMemory::create(&std::env::temp_dir()).unwrap();
        let before = memory.file().metadata().unwrap().len();
        let e = memory.allocate(1 << 55).unwrap_err().to_string();
        assert!(e.contains(&(1_u64 << 55).to_string()), "{e}");
        assert!(
            e.contains(&std::env::temp_dir().display().to_string()),
            "{e}"
        );
        assert_eq!(memory.file().metadata().unwrap().len(), before);
        memory.allocate(1).unwrap();
        let none = SharedMemory::create(Path::new("/nowhere at all")).unwrap_err();
        assert!(matches!(none, SupervisedError::Memory { .. }), "{none}");
    }

    #[test]
    fn a_span_outside_of_the_file_is_refused() {
        let memory = SharedMemory::create(&std::env::temp_dir()).unwrap();
        for (start, size, bytes) in [
            (0, 2 * GRAIN, 1),
            (u64::MAX, GRAIN, 1),
            (0, 0, 0),
            (0, GRAIN, GRAIN + 1),
        ] {
            assert!(Mapping::of(memory.file(), Span { start, size, bytes }).is_err());
        }
    }
}
