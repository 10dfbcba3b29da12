//! Objects of Espresso that outlive a compilation.

use super::{AppleError, Create, Espresso, Handle, c_string};
use ane_engine::{Access, Foreign};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    ffi::c_void,
    path::{Path, PathBuf},
    ptr::{self, NonNull},
    sync::Arc,
};

/// Kind of memory. 0 is the only one that sources have used and found to work, on the engine too (aneforge on M1 to M5);
/// 2 is said to be an IOSurface.
const KIND: u32 = 0;
/// Where our buffers must start, and what their sizes are rounded up to.
const ALIGN: usize = 64;

/// A compiled program.
#[derive(Debug)]
pub(in crate::apple) struct Library {
    handle: Handle,
    mil: PathBuf,
}

impl Library {
    pub(super) fn new(handle: Handle, mil: &Path) -> Self {
        Self {
            handle,
            mil: mil.to_owned(),
        }
    }

    /// The function called `name`.
    pub(in crate::apple) fn function(&self, name: &str) -> Result<Function, AppleError> {
        let espresso = &self.handle.espresso;
        let s = &espresso.symbols;
        let name = c_string(name.as_bytes());
        let handle = espresso.make(
            Create("e5rt_program_library_retain_program_function"),
            s.function_release,
            &self.mil,
            // SAFETY: the library is live, the name is terminated, `out` is ours.
            |out| unsafe { (s.library_retain_function)(self.handle.get(), name.as_ptr(), out) },
        )?;
        Ok(Function {
            handle,
            mil: self.mil.clone(),
        })
    }
}

/// A function of a compiled program.
#[derive(Debug)]
pub(in crate::apple) struct Function {
    handle: Handle,
    mil: PathBuf,
}

/// Which way a port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// A function with its buffers.
#[derive(Debug)]
pub(in crate::apple) struct Operation {
    ports: Vec<Handle>,
    handle: Handle,
    _options: Handle,
    mil: PathBuf,
}

impl Operation {
    /// An operation of `function` with a buffer at every port, ready to be encoded. Calling
    /// `prepare_op_for_encode` would be refused: it is for operations that were encoded before (aneforge).
    ///
    /// The buffers must outlive the operation's executions.
    pub(in crate::apple) fn new<'a>(
        function: &Function,
        name: &str,
        inputs: impl Iterator<Item = (&'a str, &'a BufferObject)>,
        outputs: impl Iterator<Item = (&'a str, &'a BufferObject)>,
    ) -> Result<Self, AppleError> {
        let espresso = &function.handle.espresso;
        let s = &espresso.symbols;
        let mil = &function.mil;
        let name = c_string(name.as_bytes());
        let options = espresso.make(
            Create("e5rt_precompiled_compute_op_create_options_create_with_program_function"),
            s.op_options_release,
            mil,
            // SAFETY: the function is live, `out` is ours.
            |out| unsafe { (s.op_options_create)(out, function.handle.get()) },
        )?;
        // SAFETY: the options are live, the name is terminated.
        let returned = unsafe { (s.op_options_set_name)(options.get(), name.as_ptr()) };
        espresso.check(
            "e5rt_precompiled_compute_op_create_options_set_operation_name",
            returned,
            mil,
        )?;
        // SAFETY: the options are live.
        let returned = unsafe { (s.op_options_set_allocate)(options.get(), 1) };
        espresso.check(
            "e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers",
            returned,
            mil,
        )?;
        let handle = espresso.make(
            Create(
                "e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options",
            ),
            s.operation_release,
            mil,
            // SAFETY: the options are live, `out` is ours.
            |out| unsafe { (s.operation_create)(out, options.get()) },
        )?;
        let mut operation = Self {
            ports: Vec::new(),
            handle,
            _options: options,
            mil: mil.clone(),
        };
        for (port, buffer) in inputs {
            operation.bind(Direction::In, port, buffer)?;
        }
        for (port, buffer) in outputs {
            operation.bind(Direction::Out, port, buffer)?;
        }
        Ok(operation)
    }

    fn bind(
        &mut self,
        direction: Direction,
        port: &str,
        buffer: &BufferObject,
    ) -> Result<(), AppleError> {
        let espresso = &self.handle.espresso;
        let s = &espresso.symbols;
        let (symbol, retain) = match direction {
            Direction::In => (
                "e5rt_execution_stream_operation_retain_input_port",
                s.operation_retain_input,
            ),
            Direction::Out => (
                "e5rt_execution_stream_operation_retain_output_port",
                s.operation_retain_output,
            ),
        };
        let name = c_string(port.as_bytes());
        let port = espresso.make(Create(symbol), s.port_release, &self.mil, |out| {
            // SAFETY: the operation is live, the name is terminated, `out` is ours.
            unsafe { retain(self.handle.get(), name.as_ptr(), out) }
        })?;
        // SAFETY: port and buffer are live.
        let returned = unsafe { (s.port_bind)(port.get(), buffer.handle.get()) };
        espresso.check("e5rt_io_port_bind_buffer_object", returned, &self.mil)?;
        self.ports.push(port);
        Ok(())
    }
}

/// A queue of the engine with one operation in it. Encoded once, it can be executed again and again (aneforge).
#[derive(Debug)]
pub(in crate::apple) struct Stream {
    handle: Handle,
    operation: Operation,
}

impl Stream {
    /// A stream of `operation` alone.
    pub(in crate::apple) fn new(operation: Operation) -> Result<Self, AppleError> {
        let espresso = &operation.handle.espresso;
        let s = &espresso.symbols;
        let handle = espresso.make(
            Create("e5rt_execution_stream_create"),
            s.stream_release,
            &operation.mil,
            // SAFETY: `out` is ours.
            |out| unsafe { (s.stream_create)(out) },
        )?;
        // SAFETY: stream and operation are live; the operation is prepared.
        let returned = unsafe { (s.stream_encode)(handle.get(), operation.handle.get()) };
        let symbol = "e5rt_execution_stream_encode_operation";
        espresso.check(symbol, returned, &operation.mil)?;
        Ok(Self { handle, operation })
    }

    /// Runs the operation and returns when it has ended.
    ///
    /// The caller holds the buffers: nobody else may touch them meanwhile.
    pub(in crate::apple) fn execute(&mut self) -> Result<(), AppleError> {
        let espresso = &self.handle.espresso;
        // SAFETY: the stream is live and its operation is encoded; `&mut` keeps other threads away from it.
        let returned = unsafe { (espresso.symbols.stream_execute)(self.handle.get()) };
        let symbol = "e5rt_execution_stream_execute_sync";
        espresso.check(symbol, returned, &self.operation.mil)
    }
}

/// Memory that processor and engine share.
///
/// Where the framework's memory starts at no multiple of 64 bytes, the processor works on a copy that is brought in
/// when access begins and taken back when it ends.
#[derive(Debug)]
pub(in crate::apple) struct BufferObject {
    handle: Handle,
    data: NonNull<u8>,
    bytes: usize,
    copy: Option<Aligned>,
}

// SAFETY: the memory is plain bytes; `SharedBuffer` makes access exclusive, and the handle may be shared.
unsafe impl Send for BufferObject {}
// SAFETY: as above.
unsafe impl Sync for BufferObject {}

impl BufferObject {
    /// Zeroed memory of `bytes` bytes. Something must have been compiled before: in a process that has compiled nothing
    /// the framework's allocator is said to crash.
    ///
    /// # Errors
    /// When the framework has none, or gives less than asked for.
    pub(in crate::apple) fn new(
        espresso: &Arc<Espresso>,
        bytes: usize,
    ) -> Result<Self, AppleError> {
        const ALLOC: &str = "e5rt_buffer_object_alloc";
        let s = &espresso.symbols;
        let nowhere = Path::new("a buffer");
        let bytes = bytes.max(1);
        let size = bytes.next_multiple_of(ALIGN);
        let handle = espresso.make(Create(ALLOC), s.buffer_release, nowhere, |out| {
            // SAFETY: `out` is ours.
            unsafe { (s.buffer_alloc)(out, size as u64, KIND) }
        })?;
        let mut found = 0;
        // SAFETY: the buffer is live, `found` is ours.
        let returned = unsafe { (s.buffer_size)(handle.get(), &raw mut found) };
        espresso.check("e5rt_buffer_object_get_size", returned, nowhere)?;
        let found = usize::try_from(found).unwrap_or(usize::MAX);
        if found < size {
            return Err(AppleError::SmallBuffer {
                call: ALLOC,
                expected: size,
                found,
            });
        }
        const DATA: &str = "e5rt_buffer_object_get_data_ptr";
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: the buffer is live, `data` is ours.
        let returned = unsafe { (s.buffer_data)(handle.get(), &raw mut data) };
        espresso.check(DATA, returned, nowhere)?;
        let data = NonNull::new(data.cast::<u8>()).ok_or(AppleError::Nothing { call: DATA })?;
        // SAFETY: the framework says that so many bytes are there, and nobody else knows of them yet.
        unsafe { data.write_bytes(0, size) };
        let aligned = data.addr().get().is_multiple_of(ALIGN);
        Ok(Self {
            handle,
            data,
            bytes,
            copy: (!aligned).then(|| Aligned::new(bytes)),
        })
    }

    /// The framework that the memory is of.
    pub(in crate::apple) fn espresso(&self) -> &Arc<Espresso> {
        &self.handle.espresso
    }
}

// SAFETY: the framework keeps the memory until its handle is released, and the copy lives as long as `self`; both are
// initialised. The framework touches the memory only while a stream executes, when the executor has it lent.
unsafe impl Foreign for BufferObject {
    fn start(&self) -> NonNull<u8> {
        self.copy.as_ref().map_or(self.data, |c| c.start)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn begin(&self, _: Access) {
        if let Some(copy) = &self.copy {
            // SAFETY: both have `bytes` bytes and do not overlap; access is exclusive.
            unsafe { copy.start.copy_from_nonoverlapping(self.data, self.bytes) };
        }
    }

    fn end(&self, access: Access) {
        if let (Some(copy), Access::Write) = (&self.copy, access) {
            // SAFETY: as above.
            unsafe { self.data.copy_from_nonoverlapping(copy.start, self.bytes) };
        }
    }
}

/// Aligned memory.
#[derive(Debug)]
struct Aligned {
    start: NonNull<u8>,
    layout: Layout,
}

impl Aligned {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, ALIGN).expect("buffers are below isize::MAX");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            std::alloc::handle_alloc_error(layout)
        };
        Self { start, layout }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
