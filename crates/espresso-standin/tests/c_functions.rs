//! The C functions themselves: pointers that lead nowhere, results that stay unwritten, codes and their reasons.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use espresso_standin::{ffi::*, last_error};
use std::{
    ffi::{c_char, c_ulong, c_void},
    ptr::{null, null_mut},
};

const UNTOUCHED: *mut c_void = std::ptr::without_provenance_mut(0xABCD_EF00);

fn reason() -> String {
    last_error().unwrap()
}

#[test]
fn null_is_refused_wherever_a_pointer_is_expected() {
    // SAFETY: null is allowed for every parameter.
    let codes = unsafe {
        [
            e5rt_e5_compiler_config_options_create(null_mut()),
            e5rt_e5_compiler_config_options_set_cache_bundle_location(null_mut(), c"x".as_ptr()),
            e5rt_e5_compiler_config_options_release(null_mut()),
            e5rt_e5_compiler_create(null_mut()),
            e5rt_e5_compiler_create_with_config(null_mut(), null_mut()),
            e5rt_e5_compiler_release(null_mut()),
            e5rt_e5_compiler_options_create(null_mut()),
            e5rt_e5_compiler_options_set_compute_device_types_mask(null_mut(), 4),
            e5rt_e5_compiler_options_set_force_recompilation(null_mut(), 1),
            e5rt_e5_compiler_options_set_force_bnns_graph(null_mut(), 1),
            e5rt_e5_compiler_options_set_segmenter(null_mut(), c"graph".as_ptr()),
            e5rt_e5_compiler_options_set_custom_ane_compiler_options(null_mut(), c"".as_ptr()),
            e5rt_e5_compiler_options_release(null_mut()),
            e5rt_e5_compiler_compile(null_mut(), null(), null_mut(), null_mut()),
            e5rt_program_library_create(null_mut(), null()),
            e5rt_program_library_get_num_functions(null_mut(), null_mut()),
            e5rt_program_library_get_function_names(null_mut(), 1, null_mut()),
            e5rt_program_library_retain_program_function(null_mut(), null(), null_mut()),
            e5rt_program_library_release(null_mut()),
            e5rt_program_function_release(null_mut()),
            e5rt_precompiled_compute_op_create_options_create_with_program_function(
                null_mut(),
                null_mut(),
            ),
            e5rt_precompiled_compute_op_create_options_set_operation_name(null_mut(), null()),
            e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers(
                null_mut(),
                1,
            ),
            e5rt_precompiled_compute_op_create_options_release(null_mut()),
            e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options(
                null_mut(),
                null_mut(),
            ),
            e5rt_execution_stream_operation_retain_input_port(null_mut(), null(), null_mut()),
            e5rt_execution_stream_operation_retain_output_port(null_mut(), null(), null_mut()),
            e5rt_execution_stream_operation_prepare_op_for_encode(null_mut()),
            e5rt_execution_stream_operation_bind_completion_event(null_mut(), null_mut()),
            e5rt_execution_stream_operation_bind_dependent_events(null_mut(), null_mut(), 1),
            e5rt_execution_stream_operation_release(null_mut()),
            e5rt_io_port_bind_buffer_object(null_mut(), null_mut()),
            e5rt_io_port_release(null_mut()),
            e5rt_buffer_object_alloc(null_mut(), 64, 0),
            e5rt_buffer_object_get_data_ptr(null_mut(), null_mut()),
            e5rt_buffer_object_get_size(null_mut(), null_mut()),
            e5rt_buffer_object_release(null_mut()),
            e5rt_execution_stream_create(null_mut()),
            e5rt_execution_stream_encode_operation(null_mut(), null_mut()),
            e5rt_execution_stream_execute_sync(null_mut()),
            e5rt_execution_stream_submit_async(null_mut(), null_mut()),
            e5rt_execution_stream_reset(null_mut()),
            e5rt_execution_stream_set_ane_execution_priority(null_mut(), 0),
            e5rt_execution_stream_set_quality_of_service(null_mut(), 0),
            e5rt_execution_stream_release(null_mut()),
            e5rt_async_event_create(null_mut(), null(), 0),
            e5rt_async_event_signal(null_mut()),
            e5rt_async_event_sync_wait(null_mut()),
            e5rt_async_event_get_last_signaled_value(null_mut(), null_mut()),
            e5rt_async_event_release(null_mut()),
        ]
    };
    assert_eq!(codes, [1; 50]);
}

#[test]
fn a_refused_call_writes_nothing() {
    let mut out = UNTOUCHED;
    // SAFETY: `out` is a local.
    let code = unsafe { e5rt_buffer_object_alloc(&raw mut out, 64, 3) };
    assert_eq!((code, out), (2, UNTOUCHED));
    assert_eq!(
        reason(),
        "e5rt_buffer_object_alloc: `type` is 3, expected 0, 1 or 2"
    );
    // SAFETY: the text is a literal, `out` a local.
    let code = unsafe { e5rt_program_library_create(&raw mut out, c"/nowhere".as_ptr()) };
    assert_eq!((code, out), (9, UNTOUCHED));
}

#[test]
fn releasing_clears_the_variable_and_a_copy_of_it_is_stale() {
    let mut stream = null_mut();
    // SAFETY: the variables are locals.
    unsafe {
        assert_eq!(e5rt_execution_stream_create(&raw mut stream), 0);
        let mut copy = stream;
        assert_eq!(e5rt_execution_stream_release(&raw mut stream), 0);
        assert!(stream.is_null());
        assert_eq!(e5rt_execution_stream_release(&raw mut stream), 1);
        assert_eq!(e5rt_execution_stream_release(&raw mut copy), 3);
        assert_eq!(e5rt_execution_stream_reset(copy), 3);
    }
    assert!(reason().contains("is no live handle"), "{}", reason());
}

#[test]
fn pointers_that_were_never_handles_are_errors() {
    let mut local = 0_u64;
    let foreign = (&raw mut local).cast::<c_void>();
    for pointer in [foreign, UNTOUCHED, std::ptr::without_provenance_mut(1)] {
        // SAFETY: handles may be anything.
        let code = unsafe { e5rt_async_event_signal(pointer) };
        assert_eq!(code, 3);
    }
}

#[test]
fn arguments_in_the_wrong_order_are_errors_where_they_can_be_told() {
    let (mut config, mut out) = (null_mut(), UNTOUCHED);
    // SAFETY: what is written through is a local, or refused as a handle.
    unsafe {
        assert_eq!(e5rt_e5_compiler_config_options_create(&raw mut config), 0);
        let place = (&raw mut out).cast::<c_void>();
        let swapped = e5rt_e5_compiler_create_with_config(config.cast(), place);
        assert_eq!(swapped, 2);
        assert!(
            reason().ends_with("expected an address of the caller"),
            "{}",
            reason()
        );
        let text = config.cast::<c_char>();
        let set = e5rt_e5_compiler_config_options_set_cache_bundle_location(config, text);
        assert_eq!(set, 2);
        assert_eq!(e5rt_e5_compiler_config_options_release(config.cast()), 2);
        assert_eq!(e5rt_e5_compiler_config_options_release(&raw mut config), 0);
    }
    assert_eq!(out, UNTOUCHED);
}

#[test]
fn text_must_be_utf8() {
    let mut event = UNTOUCHED;
    // SAFETY: the text ends with a zero byte, `event` is a local.
    let code = unsafe { e5rt_async_event_create(&raw mut event, c"\xFF".as_ptr(), 0) };
    assert_eq!((code, event), (2, UNTOUCHED));
}

/// What a block begins with.
#[repr(C)]
struct Block {
    isa: *const c_void,
    flags: i32,
    reserved: i32,
    invoke: Option<extern "C" fn(*mut Block, i64)>,
    descriptor: *const Descriptor,
}

#[repr(C)]
struct Descriptor {
    reserved: c_ulong,
    size: c_ulong,
}

impl Descriptor {
    const fn of(size: usize) -> Self {
        Self {
            reserved: 0,
            size: size as c_ulong,
        }
    }
}

extern "C" fn nothing(_: *mut Block, _: i64) {}

#[test]
fn a_block_that_would_not_outlive_the_call_or_is_none_is_refused() {
    const GLOBAL: i32 = 1 << 28;
    static WHOLE: Descriptor = Descriptor::of(size_of::<Block>());
    static SMALL: Descriptor = Descriptor::of(size_of::<Block>() - 1);
    let mut stream = null_mut();
    let block = |flags, invoke, descriptor| Block {
        isa: null(),
        flags,
        reserved: 0,
        invoke,
        descriptor,
    };
    // SAFETY: the blocks are locals that outlive the calls, which refuse them.
    unsafe {
        assert_eq!(e5rt_execution_stream_create(&raw mut stream), 0);
        let mut on_the_stack = block(1 << 25, Some(nothing), &raw const WHOLE);
        let mut without_code = block(GLOBAL, None, &raw const WHOLE);
        let mut without_descriptor = block(GLOBAL, Some(nothing), null());
        let mut too_small = block(GLOBAL, Some(nothing), &raw const SMALL);
        let mut global = block(GLOBAL, Some(nothing), &raw const WHOLE);
        let submit = |block: &mut Block| {
            e5rt_execution_stream_submit_async(stream, (&raw mut *block).cast())
        };
        assert_eq!(submit(&mut on_the_stack), 2);
        assert_eq!(submit(&mut without_code), 2);
        assert_eq!(submit(&mut without_descriptor), 1);
        assert!(reason().ends_with("`block->descriptor` is null"));
        assert_eq!(submit(&mut too_small), 2);
        assert!(reason().contains("`block->descriptor->size` is 31"));
        assert_eq!(submit(&mut global), 6, "nothing is encoded");
        assert_eq!(e5rt_execution_stream_release(&raw mut stream), 0);
    }
}

/// Without which there is no memory.
fn compile_something() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mil");
    let text = "program(1.3) {
        func main<ios18>(tensor<fp16, [1, 32]> x) {
            tensor<fp16, [1, 32]> y = abs(x = x);
        } -> (y);
    }";
    std::fs::write(&path, text).unwrap();
    let r = espresso_standin::Runtime::global().unwrap();
    let (compiler, options) = (r.compiler_create(None).unwrap(), r.options_create());
    r.compile(compiler, &path, options).unwrap();
}

#[test]
fn memory_is_where_its_address_says_and_zero_at_first() {
    compile_something();
    let (mut buffer, mut start, mut size) = (null_mut(), null_mut(), 0);
    // SAFETY: the variables are locals; the memory has the size that was asked for.
    unsafe {
        assert_eq!(e5rt_buffer_object_alloc(&raw mut buffer, 1000, 2), 0);
        assert_eq!(e5rt_buffer_object_get_data_ptr(buffer, &raw mut start), 0);
        assert_eq!(e5rt_buffer_object_get_size(buffer, &raw mut size), 0);
        let bytes = std::slice::from_raw_parts_mut(start.cast::<u8>(), 1000);
        assert!(bytes.iter().all(|&b| b == 0));
        bytes.fill(1);
        assert_eq!(e5rt_buffer_object_release(&raw mut buffer), 0);
    }
    assert_eq!(size, 1000);
}
