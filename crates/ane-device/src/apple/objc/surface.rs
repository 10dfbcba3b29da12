//! IOSurface: the memory that the engine reads and writes.
//!
//! The functions of the framework are looked up by name. An `IOSurfaceRef` is an object, so that counting references and
//! releasing it are messages that every object understands.

use super::{
    classes::SurfaceBehind,
    load,
    messages::{Dictionary, Held, dictionary, number, pooled},
};
use crate::{
    apple::{AppleError, options},
    buffer::Layout,
};
use ane_engine::{Access, Foreign};
use ane_ir::TensorType;
use libloading::Library;
use objc2::{rc::Retained, runtime::AnyObject};
use std::{
    ffi::c_void,
    path::Path,
    ptr::NonNull,
    sync::{Arc, OnceLock},
};

/// Sizes of surfaces are multiples of this many bytes (ane-reference §6).
const PAGE: usize = 16 * 1024;
/// Most rows of a surface (turbocider, M4 Max); a longer one is one row of bytes.
const MAX_HEIGHT: usize = 32_768;
/// `kIOSurfaceLockReadOnly`.
const READ_ONLY: u32 = 1;
/// One component of 16 bits, `L00h`.
const HALF: usize = 0x4c30_3068;
/// Alignment that buffers promise.
const LINE: usize = 64;

/// The functions of IOSurface.
#[derive(Debug)]
pub(super) struct IoSurface {
    create: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    lock: unsafe extern "C" fn(*mut SurfaceBehind, u32, *mut u32) -> i32,
    unlock: unsafe extern "C" fn(*mut SurfaceBehind, u32, *mut u32) -> i32,
    base_address: unsafe extern "C" fn(*mut SurfaceBehind) -> *mut c_void,
    alloc_size: unsafe extern "C" fn(*mut SurfaceBehind) -> usize,
    bytes_per_row: unsafe extern "C" fn(*mut SurfaceBehind) -> usize,
    keys: Keys,
    /// The first call that failed where nobody could be told.
    broken: OnceLock<(&'static str, i32)>,
}

/// Names of properties, as the framework exports them.
#[derive(Debug)]
struct Keys {
    alloc_size: String,
    bytes_per_element: String,
    bytes_per_row: String,
    height: String,
    pixel_format: String,
    width: String,
}

impl IoSurface {
    /// Opens the framework.
    ///
    /// # Errors
    /// When it cannot be opened, or lacks a function.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, AppleError> {
        let library = load(path, options::IO_SURFACE)?;
        let from = From { library, path };
        // SAFETY: the types are those of IOSurface's public headers.
        unsafe {
            let keys = pooled(|| {
                Ok::<_, AppleError>(Keys {
                    alloc_size: from.key("kIOSurfaceAllocSize")?,
                    bytes_per_element: from.key("kIOSurfaceBytesPerElement")?,
                    bytes_per_row: from.key("kIOSurfaceBytesPerRow")?,
                    height: from.key("kIOSurfaceHeight")?,
                    pixel_format: from.key("kIOSurfacePixelFormat")?,
                    width: from.key("kIOSurfaceWidth")?,
                })
            })?;
            Ok(Arc::new(Self {
                create: from.function("IOSurfaceCreate")?,
                lock: from.function("IOSurfaceLock")?,
                unlock: from.function("IOSurfaceUnlock")?,
                base_address: from.function("IOSurfaceGetBaseAddress")?,
                alloc_size: from.function("IOSurfaceGetAllocSize")?,
                bytes_per_row: from.function("IOSurfaceGetBytesPerRow")?,
                keys,
                broken: OnceLock::new(),
            }))
        }
    }

    /// Whether every surface could be locked and unlocked so far.
    ///
    /// # Errors
    /// The first that could not: what was read or written then is not to be trusted, whichever buffer it was.
    pub(super) fn health(&self) -> Result<(), AppleError> {
        match self.broken.get() {
            None => Ok(()),
            Some(&(call, code)) => Err(AppleError::Surface { call, code }),
        }
    }

    fn lock(&self, surface: &Held, options: u32) -> Result<(), AppleError> {
        let surface = SurfaceBehind::of(surface.get());
        // SAFETY: the surface is live; the seed is not wanted.
        let code = unsafe { (self.lock)(surface, options, std::ptr::null_mut()) };
        succeeded("IOSurfaceLock", code)
    }

    fn unlock(&self, surface: &Held, options: u32) -> Result<(), AppleError> {
        let surface = SurfaceBehind::of(surface.get());
        // SAFETY: as in `lock`.
        let code = unsafe { (self.unlock)(surface, options, std::ptr::null_mut()) };
        succeeded("IOSurfaceUnlock", code)
    }

    /// Remembers a failure for [`IoSurface::health`].
    fn note(&self, outcome: Result<(), AppleError>) {
        if let Err(AppleError::Surface { call, code }) = outcome {
            let _ = self.broken.set((call, code));
        }
    }

    fn properties(&self, form: &Form) -> Dictionary {
        dictionary(&[
            (&self.keys.width, number(form.width)),
            (&self.keys.height, number(form.height)),
            (&self.keys.bytes_per_element, number(form.bytes_per_element)),
            (&self.keys.bytes_per_row, number(form.bytes_per_row)),
            (&self.keys.alloc_size, number(form.bytes)),
            (&self.keys.pixel_format, number(form.pixel_format)),
        ])
    }
}

/// What a function returned; 0 is success.
fn succeeded(call: &'static str, code: i32) -> Result<(), AppleError> {
    match code {
        0 => Ok(()),
        code => Err(AppleError::Surface { call, code }),
    }
}

/// Where symbols are looked up.
struct From<'a> {
    library: &'static Library,
    path: &'a Path,
}

impl From<'_> {
    fn missing(&self, symbol: &'static str) -> AppleError {
        AppleError::SymbolMissing {
            symbol,
            library: self.path.to_owned(),
        }
    }

    /// # Safety
    /// `F` is the type of the function, and the library outlives the result.
    unsafe fn function<F: Copy>(&self, symbol: &'static str) -> Result<F, AppleError> {
        // SAFETY: the caller's promise.
        unsafe { self.library.get::<F>(symbol) }
            .map(|f| *f)
            .map_err(|_| self.missing(symbol))
    }

    /// The string that an exported constant points to.
    ///
    /// # Safety
    /// The symbol is a pointer to a string.
    unsafe fn key(&self, symbol: &'static str) -> Result<String, AppleError> {
        // SAFETY: the caller's promise.
        let place = unsafe { self.function::<*const *const AnyObject>(symbol) }?;
        // SAFETY: as above; constants of a framework live as long as the process.
        let string = unsafe { (*place).as_ref() };
        string
            .and_then(|s| Some(s.downcast_ref::<objc2_foundation::NSString>()?.to_string()))
            .ok_or_else(|| self.missing(symbol))
    }
}

/// What a surface is created as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    width: usize,
    height: usize,
    bytes_per_element: usize,
    bytes_per_row: usize,
    bytes: usize,
    pixel_format: usize,
}

impl Form {
    /// Rows of a tensor; one row of bytes where there are more rows than a surface may have.
    fn of(ty: &TensorType, row_bytes: usize) -> Self {
        let (width, size) = (ty.shape.last(), ty.dtype.bytes());
        let height = ty.shape.numel() / width;
        let bytes = (height * row_bytes).next_multiple_of(PAGE);
        if height > MAX_HEIGHT {
            return Self {
                width: bytes,
                height: 1,
                bytes_per_element: 1,
                bytes_per_row: bytes,
                bytes,
                pixel_format: 0,
            };
        }
        Self {
            width,
            height,
            bytes_per_element: size,
            bytes_per_row: row_bytes,
            bytes,
            pixel_format: if size == 2 { HALF } else { 0 },
        }
    }
}

/// Bytes of the surface for a tensor in rows of `row_bytes`.
pub(super) fn bytes(ty: &TensorType, row_bytes: usize) -> usize {
    Form::of(ty, row_bytes).bytes
}

/// A surface.
#[derive(Debug)]
pub(super) struct Surface {
    object: Held,
    start: NonNull<u8>,
    bytes: usize,
    functions: Arc<IoSurface>,
}

// SAFETY: surfaces are made to be shared by threads and processes; the bytes are touched only by whoever has exclusive
// access to the buffer over them.
unsafe impl Send for Surface {}
// SAFETY: as above.
unsafe impl Sync for Surface {}

impl Surface {
    /// A zeroed surface for a tensor in rows.
    ///
    /// # Errors
    /// When the framework gives none, or another than was asked for.
    pub(super) fn new(
        functions: &Arc<IoSurface>,
        ty: &TensorType,
        layout: Layout,
    ) -> Result<Self, AppleError> {
        let row_bytes = match layout {
            Layout::Rows { row_bytes } => row_bytes,
            Layout::Dense => ty.shape.last() * ty.dtype.bytes(),
        };
        let form = Form::of(ty, row_bytes);
        let small = |found| AppleError::SmallBuffer {
            call: "IOSurfaceCreate",
            expected: form.bytes,
            found,
        };
        let object = pooled(|| {
            let properties = functions.properties(&form);
            let properties: *const c_void = Retained::as_ptr(&properties).cast();
            // SAFETY: a dictionary of strings to numbers in; the result is null or a surface that we own.
            unsafe { Retained::from_raw((functions.create)(properties).cast::<AnyObject>()) }
        });
        let object = Held::new(object.ok_or_else(|| small(0))?);
        let surface = SurfaceBehind::of(object.get());
        functions.lock(&object, 0)?;
        // SAFETY: the surface is live; locked, it has an address, which it keeps, and as many bytes as it says.
        let (start, bytes, row) = unsafe {
            let start = NonNull::new((functions.base_address)(surface).cast::<u8>());
            let bytes = (functions.alloc_size)(surface);
            if let Some(start) = start {
                start.write_bytes(0, bytes.min(form.bytes));
            }
            (start, bytes, (functions.bytes_per_row)(surface))
        };
        functions.unlock(&object, 0)?;
        let aligned = start.filter(|s| s.addr().get().is_multiple_of(LINE));
        let start = aligned.ok_or(AppleError::Nothing {
            call: "IOSurfaceGetBaseAddress",
        })?;
        if bytes < form.bytes {
            return Err(small(bytes));
        }
        if row != form.bytes_per_row {
            return Err(AppleError::RowBytes {
                expected: form.bytes_per_row,
                found: row,
            });
        }
        Ok(Self {
            object,
            start,
            bytes: form.bytes,
            functions: functions.clone(),
        })
    }

    /// The surface as an object.
    pub(super) fn object(&self) -> &AnyObject {
        self.object.get()
    }

    /// Whether the surface comes from these functions.
    pub(super) fn is_of(&self, functions: &Arc<IoSurface>) -> bool {
        Arc::ptr_eq(&self.functions, functions)
    }
}

fn options_of(access: Access) -> u32 {
    match access {
        Access::Read => READ_ONLY,
        Access::Write => 0,
    }
}

// SAFETY: the surface keeps its memory, at one address, until it is released, which is when this is dropped. The engine
// touches it only during an evaluation, which returns when the engine is done, and for which the buffer is lent, so that
// nobody else in this process has it then. Locking keeps the processor's view of the memory up to date.
unsafe impl Foreign for Surface {
    fn start(&self) -> NonNull<u8> {
        self.start
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn begin(&self, access: Access) {
        let locked = self.functions.lock(&self.object, options_of(access));
        self.functions.note(locked);
    }

    fn end(&self, access: Access) {
        let unlocked = self.functions.unlock(&self.object, options_of(access));
        self.functions.note(unlocked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_a_surface_of_whole_pages() {
        let ty = TensorType::fp16([4, 3, 40]);
        let form = Form::of(&ty, 128);
        assert_eq!((form.width, form.height), (40, 12));
        assert_eq!((form.bytes_per_row, form.bytes), (128, PAGE));
        let tall = Form::of(&TensorType::fp16([40_000, 32]), 64);
        assert_eq!((tall.height, tall.width), (1, tall.bytes));
        assert_eq!(tall.bytes, 157 * PAGE);
        assert_eq!(Form::of(&TensorType::fp16([]), 64).height, 1);
    }
}
