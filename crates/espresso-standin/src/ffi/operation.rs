//! C functions: operations and their ports.

use super::{answer, give_handle, handle, place, take_back, text};
use crate::error::E5rtError;
use std::ffi::{c_char, c_int, c_void};

/// Most events that a request of the engine waits for, by the reports.
const MOST_EVENTS: usize = 64;

/// Options to make operations of a function.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_precompiled_compute_op_create_options_create_with_program_function(
    out: *mut *mut c_void,
    function: *mut c_void,
) -> i64 {
    answer(
        "e5rt_precompiled_compute_op_create_options_create_with_program_function",
        |runtime| {
            let function = handle(function, "function")?;
            // SAFETY: the caller says that `out` can be written.
            unsafe { give_handle(out, runtime, || runtime.operation_options_create(function)) }
        },
    )
}

/// The name that operations have in messages.
///
/// # Safety
/// Texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_precompiled_compute_op_create_options_set_operation_name(
    options: *mut c_void,
    name: *const c_char,
) -> i64 {
    answer(
        "e5rt_precompiled_compute_op_create_options_set_operation_name",
        |runtime| {
            let options = handle(options, "options")?;
            // SAFETY: the caller says that it is text.
            let name = unsafe { text(name, "name", runtime) }?;
            runtime.operation_options_set_name(options, name)
        },
    )
}

/// Whether intermediate values get memory; they do in any case.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers(
    options: *mut c_void,
    allocate: c_int,
) -> i64 {
    answer(
        "e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers",
        |runtime| {
            let options = handle(options, "options")?;
            runtime.operation_options_set_allocate_intermediate_buffers(options, allocate)
        },
    )
}

/// Gives back options.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_precompiled_compute_op_create_options_release(
    object: *mut *mut c_void,
) -> i64 {
    answer(
        "e5rt_precompiled_compute_op_create_options_release",
        |runtime| {
            // SAFETY: the caller says that `object` can be read and written.
            unsafe {
                take_back(object, runtime, |held| {
                    runtime.operation_options_release(held)
                })
            }
        },
    )
}

/// An operation, which loads its function.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options(
    out: *mut *mut c_void,
    options: *mut c_void,
) -> i64 {
    answer(
        "e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options",
        |runtime| {
            let options = handle(options, "options")?;
            // SAFETY: the caller says that `out` can be written.
            unsafe { give_handle(out, runtime, || runtime.operation_create(options)) }
        },
    )
}

/// The input port called `name`.
///
/// # Safety
/// `out` is null or valid for writing; texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_retain_input_port(
    operation: *mut c_void,
    name: *const c_char,
    out: *mut *mut c_void,
) -> i64 {
    answer(
        "e5rt_execution_stream_operation_retain_input_port",
        |runtime| {
            let operation = handle(operation, "operation")?;
            // SAFETY: the caller says that it is text.
            let name = unsafe { text(name, "name", runtime) }?;
            // SAFETY: the caller says that `out` can be written.
            unsafe {
                give_handle(out, runtime, || {
                    runtime.operation_retain_port(operation, name, true)
                })
            }
        },
    )
}

/// The output port called `name`.
///
/// # Safety
/// `out` is null or valid for writing; texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_retain_output_port(
    operation: *mut c_void,
    name: *const c_char,
    out: *mut *mut c_void,
) -> i64 {
    answer(
        "e5rt_execution_stream_operation_retain_output_port",
        |runtime| {
            let operation = handle(operation, "operation")?;
            // SAFETY: the caller says that it is text.
            let name = unsafe { text(name, "name", runtime) }?;
            // SAFETY: the caller says that `out` can be written.
            unsafe {
                give_handle(out, runtime, || {
                    runtime.operation_retain_port(operation, name, false)
                })
            }
        },
    )
}

/// Makes an operation that was encoded ready to be encoded again.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_prepare_op_for_encode(
    operation: *mut c_void,
) -> i64 {
    answer(
        "e5rt_execution_stream_operation_prepare_op_for_encode",
        |runtime| {
            let operation = handle(operation, "operation")?;
            runtime.operation_prepare(operation)
        },
    )
}

/// The event that is signalled when an execution ends.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_bind_completion_event(
    operation: *mut c_void,
    event: *mut c_void,
) -> i64 {
    answer(
        "e5rt_execution_stream_operation_bind_completion_event",
        |runtime| {
            let operation = handle(operation, "operation")?;
            let event = handle(event, "event")?;
            runtime.operation_bind_completion_event(operation, event)
        },
    )
}

/// The events that executions wait for, instead of those before.
///
/// # Safety
/// `events` is null or valid for reading `count` pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_bind_dependent_events(
    operation: *mut c_void,
    events: *mut *mut c_void,
    count: u64,
) -> i64 {
    answer(
        "e5rt_execution_stream_operation_bind_dependent_events",
        |runtime| {
            let operation = handle(operation, "operation")?;
            if count == 0 {
                return runtime.operation_bind_dependent_events(operation, &[]);
            }
            place(events, "events", runtime)?;
            let count = usize::try_from(count)
                .ok()
                .filter(|&count| count <= MOST_EVENTS)
                .ok_or_else(|| E5rtError::value("count", count, "at most 64"))?;
            let events = (0..count)
                // SAFETY: the caller says that there are `count` of them.
                .map(|i| handle(unsafe { events.add(i).read() }, "events"))
                .collect::<Result<Vec<_>, _>>()?;
            runtime.operation_bind_dependent_events(operation, &events)
        },
    )
}

/// Gives back an operation.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_execution_stream_operation_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_execution_stream_operation_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.operation_release(held)) }
    })
}

/// Binds a buffer for executions to come.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_io_port_bind_buffer_object(
    port: *mut c_void,
    buffer: *mut c_void,
) -> i64 {
    answer("e5rt_io_port_bind_buffer_object", |runtime| {
        let port = handle(port, "port")?;
        let buffer = handle(buffer, "buffer")?;
        runtime.port_bind_buffer(port, buffer)
    })
}

/// Gives back a port.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_io_port_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_io_port_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.port_release(held)) }
    })
}
