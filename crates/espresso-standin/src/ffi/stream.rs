//! C functions: execution streams, and the blocks that they call.

use super::{answer, give_handle, handle, place, take_back};
use crate::error::E5rtError;
use std::ffi::{c_int, c_ulong, c_void};

/// What a block begins with. Captured variables follow.
#[derive(Debug)]
#[repr(C)]
pub struct Block {
    isa: *const c_void,
    flags: c_int,
    reserved: c_int,
    invoke: Option<unsafe extern "C" fn(*mut Self, i64)>,
    descriptor: *const BlockDescriptor,
}

/// What every block's descriptor begins with. Functions that copy and dispose, and a signature, may follow.
#[derive(Debug)]
#[repr(C)]
pub struct BlockDescriptor {
    reserved: c_ulong,
    /// Bytes of the block, captured variables included.
    size: c_ulong,
}

/// Flag of a block that lives for ever.
const BLOCK_IS_GLOBAL: c_int = 1 << 28;
/// Flag of a block that was copied to the heap.
const BLOCK_NEEDS_FREE: c_int = 1 << 24;

/// A block on its way to the thread that calls it.
struct Completion(*mut Block);

// SAFETY: the contract of `e5rt_execution_stream_submit_async` keeps the block alive and callable on any thread.
unsafe impl Send for Completion {}

impl Completion {
    fn call(self, code: i64) {
        // SAFETY: `submit_async` has checked that it is a block with code, and its caller keeps it alive.
        unsafe {
            if let Some(invoke) = (*self.0).invoke {
                invoke(self.0, code);
            }
        }
    }
}

/// An empty stream.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_create(out: *mut *mut c_void) -> i64 {
    answer("e5rt_execution_stream_create", |runtime| {
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || Ok(runtime.stream_create())) }
    })
}

/// Puts an operation behind those that the stream has.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_encode_operation(
    stream: *mut c_void,
    operation: *mut c_void,
) -> i64 {
    answer("e5rt_execution_stream_encode_operation", |runtime| {
        let stream = handle(stream, "stream")?;
        let operation = handle(operation, "operation")?;
        runtime.stream_encode(stream, operation)
    })
}

/// Executes the stream and returns when it is done.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_execute_sync(stream: *mut c_void) -> i64 {
    answer("e5rt_execution_stream_execute_sync", |runtime| {
        let stream = handle(stream, "stream")?;
        runtime.stream_execute_sync(stream)
    })
}

/// Starts executing the stream and returns; `block` is called on another thread when it has ended.
///
/// It is called as `void (^)(int64_t code)`; one that takes nothing will do, since the argument is passed in a register.
/// Frameworks copy blocks; there is no runtime for that here, so a block on the stack is refused.
///
/// # Safety
/// `block` is null or a block; it and its descriptor live until it has been called, and it can be called on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_submit_async(
    stream: *mut c_void,
    block: *mut c_void,
) -> i64 {
    answer("e5rt_execution_stream_submit_async", |runtime| {
        let stream = handle(stream, "stream")?;
        let block = block.cast::<Block>();
        place(block, "block", runtime)?;
        // SAFETY: the caller says that it is a block.
        let (flags, has_code, descriptor) = unsafe {
            (
                (*block).flags,
                (*block).invoke.is_some(),
                (*block).descriptor,
            )
        };
        if !has_code || flags & (BLOCK_IS_GLOBAL | BLOCK_NEEDS_FREE) == 0 {
            let found = format!("one with flags {flags:#x}");
            let expected = "a global block, or one that was copied to the heap";
            return Err(E5rtError::value("block", found, expected));
        }
        // A framework copies as many bytes as the descriptor says.
        place(descriptor, "block->descriptor", runtime)?;
        // SAFETY: the caller says that it is a block, which has a descriptor.
        let size = unsafe { (*descriptor).size };
        if (size as usize) < size_of::<Block>() {
            let expected = "at least the bytes of a block without variables";
            return Err(E5rtError::value("block->descriptor->size", size, expected));
        }
        let completion = Completion(block);
        runtime.stream_submit_async(stream, move |code| completion.call(code))
    })
}

/// Empties the stream.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_reset(stream: *mut c_void) -> i64 {
    answer("e5rt_execution_stream_reset", |runtime| {
        let stream = handle(stream, "stream")?;
        runtime.stream_reset(stream)
    })
}

/// A hint, which changes nothing here.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_set_ane_execution_priority(
    stream: *mut c_void,
    priority: u64,
) -> i64 {
    answer(
        "e5rt_execution_stream_set_ane_execution_priority",
        |runtime| {
            let stream = handle(stream, "stream")?;
            runtime.stream_set_ane_execution_priority(stream, priority)
        },
    )
}

/// A hint, which changes nothing here.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_set_quality_of_service(
    stream: *mut c_void,
    value: u64,
) -> i64 {
    answer("e5rt_execution_stream_set_quality_of_service", |runtime| {
        let stream = handle(stream, "stream")?;
        runtime.stream_set_quality_of_service(stream, value)
    })
}

/// Gives back a stream.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_execution_stream_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.stream_release(held)) }
    })
}
