//! Everything that a call is refused for.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/world.rs"]
mod world;

use ane_standin::Environment;
use espresso_standin::{E5rtError, Handle};
use world::{BYTES, DOUBLE, PAIR, SUM, UNLAWFUL, World, code, reason};

#[test]
fn a_handle_serves_only_what_it_stands_for_and_only_until_it_is_released() {
    let w = World::quiet();
    let r = &w.runtime;
    let (config, options, stream) = (r.config_create(), r.options_create(), r.stream_create());
    let compiler = r.compiler_create(None).unwrap();
    let library = w.library(DOUBLE);
    let function = r.library_retain_program_function(library, "main").unwrap();
    let making = r.operation_options_create(function).unwrap();
    let operation = r.operation_create(making).unwrap();
    let port = r.operation_retain_port(operation, "x", true).unwrap();
    let buffer = r.buffer_alloc(BYTES, 0).unwrap();
    let event = r.event_create("e", 0);
    type Release<'a> = &'a dyn Fn(Handle) -> Result<(), E5rtError>;
    let kinds: [(Handle, Release<'_>); 11] = [
        (config, &|h| r.config_release(h)),
        (options, &|h| r.options_release(h)),
        (stream, &|h| r.stream_release(h)),
        (compiler, &|h| r.compiler_release(h)),
        (library, &|h| r.library_release(h)),
        (function, &|h| r.function_release(h)),
        (making, &|h| r.operation_options_release(h)),
        (operation, &|h| r.operation_release(h)),
        (port, &|h| r.port_release(h)),
        (buffer, &|h| r.buffer_release(h)),
        (event, &|h| r.event_release(h)),
    ];
    for (i, (_, release)) in kinds.iter().enumerate() {
        for (j, (handle, _)) in kinds.iter().enumerate() {
            if i != j {
                assert_eq!(code(release(*handle)), 4, "{i} releases {j}");
            }
        }
    }
    assert_eq!(r.live_handles(), kinds.len());
    for (handle, release) in kinds {
        release(handle).unwrap();
        assert_eq!(code(release(handle)), 3, "released twice");
    }
    assert_eq!((r.live_handles(), r.loaded()), (0, 0));
    // Calls other than releases look at their handles too.
    assert_eq!(code(r.port_bind_buffer(port, buffer)), 3);
    assert_eq!(code(r.stream_encode(stream, operation)), 3);
    assert_eq!(code(r.event_signal(event)), 3);
    assert_eq!(code(r.buffer_size(buffer)), 3);
    assert_eq!(code(r.compiler_create(Some(config))), 3);
    let alive = r.stream_create();
    assert_eq!(code(r.operation_prepare(alive)), 4);
    assert!(
        reason(r.operation_prepare(alive)).ends_with("of the kind `stream`, expected `operation`")
    );
}

#[test]
fn names_that_do_not_exist_are_refused_with_those_that_do() {
    let w = World::quiet();
    let r = &w.runtime;
    let library = w.library(PAIR);
    assert_eq!(code(r.library_retain_program_function(library, "main")), 5);
    let expected = "no function is called `main`; there are up, down";
    assert_eq!(
        reason(r.library_retain_program_function(library, "main")),
        expected
    );
    let operation = w.operation(SUM);
    let expected = "no input port is called `sum`; there are a, b";
    assert_eq!(
        reason(r.operation_retain_port(operation, "sum", true)),
        expected
    );
    let expected = "no output port is called `a`; there are sum, twice";
    assert_eq!(
        reason(r.operation_retain_port(operation, "a", false)),
        expected
    );
    assert_eq!(code(r.operation_retain_port(operation, "A", true)), 5);
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let w = World::quiet();
    let r = &w.runtime;
    let (config, options, stream) = (r.config_create(), r.options_create(), r.stream_create());
    let refused = reason(r.buffer_alloc(BYTES, 0));
    assert!(refused.contains("nothing was compiled yet"), "{refused}");
    w.warm_up();
    for refused in [
        r.buffer_alloc(BYTES, 3).map(drop),
        r.buffer_alloc(BYTES, u32::MAX).map(drop),
        r.buffer_alloc(0, 0).map(drop),
        r.buffer_alloc(u64::MAX, 0).map(drop),
        r.options_set_compute_device_types_mask(options, 0),
        r.options_set_compute_device_types_mask(options, 8),
        r.options_set_force_recompilation(options, 2),
        r.options_set_force_bnns_graph(options, -1),
        r.options_set_segmenter(options, "tree"),
        r.options_set_custom_ane_compiler_options(options, "Architecture=h16"),
        r.options_set_custom_ane_compiler_options(options, "h16"),
        r.config_set_cache_bundle_location(config, ""),
        r.stream_set_quality_of_service(stream, 64),
    ] {
        assert_eq!(code(refused), 2);
    }
    for kind in 0..3 {
        let buffer = r.buffer_alloc(100, kind).unwrap();
        assert_eq!(r.buffer_size(buffer).unwrap(), 100);
        let address = r.buffer_data_ptr(buffer).unwrap().addr().get();
        assert_eq!(address % if kind == 2 { 16_384 } else { 64 }, 0);
    }
    r.stream_set_quality_of_service(stream, 21).unwrap();
    r.stream_set_ane_execution_priority(stream, 2).unwrap();
}

#[test]
fn calls_out_of_order_are_refused_until_the_missing_one_is_made() {
    let w = World::quiet();
    let r = &w.runtime;
    let stream = r.stream_create();
    let operation = w.operation(SUM);
    let (a, b) = (w.buffer(1.0), w.buffer(2.0));
    let (sum, twice) = (w.buffer(0.0), w.buffer(0.0));
    assert_eq!(code(r.stream_execute_sync(stream)), 6, "nothing is encoded");
    assert_eq!(code(r.stream_reset(stream)), 6, "nothing was encoded");
    assert_eq!(
        code(r.operation_prepare(operation)),
        6,
        "it never was encoded"
    );
    assert_eq!(code(r.stream_encode(stream, operation)), 6);
    w.bind(operation, "a", true, a);
    w.bind(operation, "b", true, a);
    w.bind(operation, "sum", false, sum);
    let expected = "cannot encode an operation: port `twice` is not bound to a buffer";
    assert_eq!(reason(r.stream_encode(stream, operation)), expected);
    w.bind(operation, "twice", false, twice);
    w.bind(operation, "b", true, b);
    r.stream_encode(stream, operation).unwrap();
    // While it stands in a stream it stays as it is.
    assert_eq!(code(w.try_bind(operation, "b", true, a)), 6);
    assert_eq!(code(r.operation_prepare(operation)), 6);
    assert_eq!(code(r.operation_release(operation)), 6);
    let event = r.event_create("e", 0);
    assert_eq!(code(r.operation_bind_completion_event(operation, event)), 6);
    assert_eq!(
        code(r.operation_bind_dependent_events(operation, &[event])),
        6
    );
    r.stream_execute_sync(stream).unwrap();
    assert_eq!((w.value(sum), w.value(twice)), (3.0, 2.0));
    // Executed as often as wanted, and encoded no further.
    w.fill(a, 2.0);
    r.stream_execute_sync(stream).unwrap();
    assert_eq!((w.value(sum), w.value(twice)), (4.0, 4.0));
    assert_eq!(code(r.stream_encode(stream, operation)), 6);
    r.stream_reset(stream).unwrap();
    assert_eq!(
        code(r.stream_execute_sync(stream)),
        6,
        "reset empties the stream"
    );
    assert_eq!(
        code(r.stream_encode(stream, operation)),
        6,
        "it must be prepared"
    );
    r.operation_prepare(operation).unwrap();
    assert_eq!(code(r.operation_prepare(operation)), 6, "it is prepared");
    w.bind(operation, "b", true, a);
    r.stream_encode(stream, operation).unwrap();
    r.stream_execute_sync(stream).unwrap();
    assert_eq!(w.value(sum), 4.0);
    r.stream_reset(stream).unwrap();
    let port = r.operation_retain_port(operation, "b", true).unwrap();
    r.operation_release(operation).unwrap();
    let expected = "cannot bind a port: operation `main` was released";
    assert_eq!(reason(r.port_bind_buffer(port, a)), expected);
}

#[test]
fn releasing_a_stream_frees_what_stands_in_it() {
    let w = World::quiet();
    let r = &w.runtime;
    let stream = r.stream_create();
    let operation = w.doubling(w.buffer(1.0), w.buffer(0.0));
    r.stream_encode(stream, operation).unwrap();
    r.stream_encode(stream, operation).unwrap();
    assert_eq!(code(r.operation_release(operation)), 6);
    r.stream_release(stream).unwrap();
    r.operation_release(operation).unwrap();
    assert_eq!(r.loaded(), 0);
}

#[test]
fn buffers_may_be_larger_than_their_port_and_not_smaller() {
    let w = World::quiet();
    let r = &w.runtime;
    let operation = w.operation(DOUBLE);
    let small = r.buffer_alloc(BYTES - 1, 0).unwrap();
    let expected = "port `x` needs 64 bytes, its buffer has 63";
    assert_eq!(reason(w.try_bind(operation, "x", true, small)), expected);
    assert_eq!(code(w.try_bind(operation, "y", false, small)), 7);
    let large = r.buffer_alloc(1000, 1).unwrap();
    let memory = r.buffer_memory(large).unwrap();
    memory.write(|bytes| bytes.fill(0x3C));
    w.bind(operation, "x", true, w.buffer(4.0));
    w.bind(operation, "y", false, large);
    w.run(r.stream_create(), &[operation]).unwrap();
    assert_eq!(w.value(large), 8.0);
    memory.read(|bytes| assert_eq!(bytes[64..], [0x3C; 936]));
}

#[test]
fn two_outputs_cannot_share_a_buffer() {
    let w = World::quiet();
    let r = &w.runtime;
    let operation = w.operation(SUM);
    let (a, both) = (w.buffer(1.0), w.buffer(0.0));
    for (name, is_input, buffer) in [
        ("a", true, a),
        ("b", true, a),
        ("sum", false, both),
        ("twice", false, both),
    ] {
        w.bind(operation, name, is_input, buffer);
    }
    assert_eq!(code(r.stream_encode(r.stream_create(), operation)), 7);
}

#[test]
fn what_the_compiler_refuses_comes_with_the_reasons() {
    let w = World::quiet();
    let r = &w.runtime;
    let (compiler, options) = (r.compiler_create(None).unwrap(), w.options());
    let unlawful = w.try_library(UNLAWFUL);
    assert_eq!(code(unlawful), 8);
    let said = reason(w.try_library(UNLAWFUL));
    assert!(said.contains("h16 does not take function `main`"), "{said}");
    assert!(
        said.contains("`x` (tensor<fp32, [1, 32]>) is an input of fp32"),
        "{said}"
    );
    let said = reason(w.try_library("program(1.3) { func main<ios18>() {"));
    assert!(said.contains("is no program"), "{said}");
    let nowhere = w.directory.path().join("none.mil");
    let said = reason(r.compile(compiler, &nowhere, options));
    assert!(said.contains("none.mil"), "{said}");
    let folder = r.compile(compiler, w.directory.path(), options);
    assert_eq!(code(folder), 2, "a path is that of the text");
    let bundle = r.library_create(w.directory.path());
    assert_eq!(code(bundle), 9);
}

#[test]
fn programs_beyond_the_limit_are_refused_until_one_is_gone() {
    let w = World::new(Environment {
        max_loaded: 2,
        threads: 1,
        ..Environment::default()
    });
    let r = &w.runtime;
    let pair = w.library(PAIR);
    let first = w.try_operation(pair, "up").unwrap();
    let same = w.try_operation(pair, "up").unwrap();
    assert_eq!(
        r.loaded(),
        1,
        "operations of one function are one loaded program"
    );
    let second = w.try_operation(pair, "down").unwrap();
    let third = w.library(DOUBLE);
    assert_eq!(code(w.try_operation(third, "main")), 10);
    r.operation_release(first).unwrap();
    assert_eq!(
        code(w.try_operation(third, "main")),
        10,
        "one operation is left"
    );
    r.operation_release(same).unwrap();
    let in_its_place = w.try_operation(third, "main").unwrap();
    for operation in [second, in_its_place] {
        r.operation_release(operation).unwrap();
    }
    assert_eq!(r.loaded(), 0);
}
