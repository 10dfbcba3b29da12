//! Buffer objects: memory that ports are bound to and that the caller reads and writes through its address.
//!
//! Types are 0 (processor), 1 (not known) and 2 (IOSurface); all are ordinary memory here. An IOSurface starts and ends
//! at a multiple of 16 KiB, the others at one of 64 bytes, which nothing promises: the environment can move memory of type
//! 0 beside it. In a process that has compiled nothing the framework's allocator is said to crash; here it refuses. Memory is zero at first. It stays while the handle lives or a
//! port is bound to it; the caller must not touch it while an execution that it is bound to runs.

use crate::{
    error::E5rtError,
    handles::{Handle, Kind},
    runtime::Runtime,
};
use ane_engine::{Access, Foreign, SharedBuffer};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    ptr::NonNull,
};

/// Alignment of processor memory.
const LINE: usize = 64;
/// Distance from it when memory is to be misaligned.
const BESIDE: usize = 16;
/// Alignment of surfaces.
const PAGE: usize = 16 * 1024;
/// Number of the type that is memory of the processor.
const PROCESSOR: u32 = 0;
/// Number of the first type that does not exist.
const TYPES: u32 = 3;
/// Number of the type that is an IOSurface.
const IOSURFACE: u32 = 2;

/// Memory with its address.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) shared: SharedBuffer,
    start: Address,
    size: usize,
}

impl Kind for Buffer {
    const NAME: &'static str = "buffer";
}

/// Where memory starts.
#[derive(Debug, Clone, Copy)]
struct Address(NonNull<u8>);

// SAFETY: an address is a number; whoever follows it is the one to take care.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

/// The owner of the memory.
#[derive(Debug)]
struct Memory {
    start: Address,
    layout: Layout,
    size: usize,
    /// Where callers see the memory when that is beside a multiple of 64 bytes; the engine works on the memory at `start`.
    beside: Option<Box<Self>>,
}

impl Memory {
    fn new(size: usize, align: usize) -> Result<Self, E5rtError> {
        let layout = size
            .checked_next_multiple_of(align)
            .and_then(|bytes| Layout::from_size_align(bytes, align).ok())
            .filter(|layout| layout.size() > 0)
            .ok_or_else(|| E5rtError::value("size", size, "1 to what memory there is"))?;
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or(E5rtError::Exhausted("memory"))?;
        Ok(Self {
            start: Address(start),
            layout,
            size,
            beside: None,
        })
    }

    /// Memory that callers see beside a multiple of 64 bytes.
    fn misaligned(size: usize) -> Result<Self, E5rtError> {
        let mut memory = Self::new(size, LINE)?;
        let larger = size.checked_add(BESIDE);
        let larger =
            larger.ok_or_else(|| E5rtError::value("size", size, "1 to what memory there is"))?;
        memory.beside = Some(Box::new(Self::new(larger, LINE)?));
        Ok(memory)
    }

    /// Where callers see the memory.
    fn seen(&self) -> Address {
        match &self.beside {
            // SAFETY: that memory is larger by so many bytes.
            Some(beside) => Address(unsafe { beside.start.0.add(BESIDE) }),
            None => self.start,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.start.0.as_ptr(), self.layout) }
    }
}

// SAFETY: the memory lives as long as the value. Between `begin` and `end` only the caller of the C functions could touch
// it, and the contract of `e5rt_buffer_object_get_data_ptr` forbids that.
unsafe impl Foreign for Memory {
    fn start(&self) -> NonNull<u8> {
        self.start.0
    }

    fn bytes(&self) -> usize {
        self.size
    }

    fn begin(&self, _: Access) {
        if self.beside.is_some() {
            // SAFETY: both have `size` bytes and do not overlap; access is exclusive.
            unsafe {
                self.start
                    .0
                    .copy_from_nonoverlapping(self.seen().0, self.size);
            }
        }
    }

    fn end(&self, access: Access) {
        if self.beside.is_some() && access == Access::Write {
            // SAFETY: as above.
            unsafe {
                self.seen()
                    .0
                    .copy_from_nonoverlapping(self.start.0, self.size);
            }
        }
    }
}

impl Runtime {
    /// Memory of `size` bytes.
    ///
    /// # Errors
    /// When there is no such type, the size is 0, nothing was compiled yet, or there is no memory left.
    pub fn buffer_alloc(&self, size: u64, kind: u32) -> Result<Handle, E5rtError> {
        if kind >= TYPES {
            return Err(E5rtError::value("type", kind, "0, 1 or 2"));
        }
        let bytes = usize::try_from(size)
            .map_err(|_| E5rtError::value("size", size, "a size of this machine"))?;
        if bytes == 0 {
            return Err(E5rtError::value("size", size, "1 to what memory there is"));
        }
        if !self.is_warm() {
            let reason = "nothing was compiled yet, and the framework's allocator crashes then";
            return Err(E5rtError::order("allocate a buffer", reason));
        }
        let memory = match kind {
            IOSURFACE => Memory::new(bytes, PAGE)?,
            PROCESSOR if self.environment.misalign => Memory::misaligned(bytes)?,
            _ => Memory::new(bytes, LINE)?,
        };
        let start = memory.seen();
        Ok(self.handles.insert(Buffer {
            shared: SharedBuffer::foreign(Box::new(memory)),
            start,
            size: bytes,
        }))
    }

    /// Where the memory starts.
    ///
    /// # Errors
    /// When the handle is not a buffer's.
    pub fn buffer_data_ptr(&self, buffer: Handle) -> Result<NonNull<u8>, E5rtError> {
        Ok(self.handles.get::<Buffer>(buffer)?.start.0)
    }

    /// The memory, for Rust programs; access is exclusive.
    ///
    /// # Errors
    /// When the handle is not a buffer's.
    pub fn buffer_memory(&self, buffer: Handle) -> Result<SharedBuffer, E5rtError> {
        Ok(self.handles.get::<Buffer>(buffer)?.shared.clone())
    }

    /// Its size in bytes, as asked for.
    ///
    /// # Errors
    /// When the handle is not a buffer's.
    pub fn buffer_size(&self, buffer: Handle) -> Result<u64, E5rtError> {
        Ok(self.handles.get::<Buffer>(buffer)?.size as u64)
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// When the handle is not a buffer's.
    pub fn buffer_release(&self, buffer: Handle) -> Result<(), E5rtError> {
        self.release::<Buffer>(buffer)
    }
}
