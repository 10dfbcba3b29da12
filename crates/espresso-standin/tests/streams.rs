//! What executions compute and when they run: in order, in place, beside each other, and after events.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/world.rs"]
mod world;

use espresso_standin::Handle;
use std::sync::{Arc, mpsc};
use world::{SUM, World, code};

#[test]
fn operations_of_a_stream_run_in_the_order_they_were_encoded() {
    let w = World::quiet();
    let stream = w.runtime.stream_create();
    let (a, b, c) = (w.buffer(1.0), w.buffer(0.0), w.buffer(0.0));
    let (first, second) = (w.doubling(a, b), w.doubling(b, c));
    w.run(stream, &[first, second]).unwrap();
    assert_eq!((w.value(b), w.value(c)), (2.0, 4.0));
    w.fill(a, 5.0);
    w.run(stream, &[second, first]).unwrap();
    assert_eq!((w.value(b), w.value(c)), (10.0, 4.0));
}

#[test]
fn state_stays_in_its_buffers_from_one_execution_to_the_next() {
    let w = World::quiet();
    let stream = w.runtime.stream_create();
    let (a, b) = (w.buffer(1.0), w.buffer(0.0));
    let (there, back) = (w.doubling(a, b), w.doubling(b, a));
    for _ in 0..3 {
        w.run(stream, &[there, back]).unwrap();
    }
    w.run(stream, &[there]).unwrap();
    assert_eq!((w.value(a), w.value(b)), (64.0, 128.0));
}

/// `state` becomes `state + b`, and `twice` twice the old `state`.
fn run_in_place(w: &World, times: usize) -> [Handle; 3] {
    let stream = w.runtime.stream_create();
    let (state, b, twice) = (w.buffer(1.0), w.buffer(1.0), w.buffer(0.0));
    let sum = w.operation(SUM);
    w.bind(sum, "a", true, state);
    w.bind(sum, "b", true, b);
    w.bind(sum, "sum", false, state);
    w.bind(sum, "twice", false, twice);
    for _ in 0..times {
        w.run(stream, &[sum]).unwrap();
    }
    [state, b, twice]
}

#[test]
fn outputs_in_place_of_inputs_are_their_next_values() {
    let w = World::quiet();
    let [state, b, twice] = run_in_place(&w, 3);
    assert_eq!(
        (w.value(state), w.value(b), w.value(twice)),
        (4.0, 1.0, 6.0)
    );
}

#[test]
fn outputs_in_place_are_not_a_number_where_the_environment_says_so() {
    let w = World::new(ane_standin::Environment {
        in_place: ane_standin::InPlace::Poison,
        threads: 1,
        ..ane_standin::Environment::default()
    });
    let [state, b, twice] = run_in_place(&w, 1);
    for output in [state, twice] {
        let memory = w.runtime.buffer_memory(output).unwrap();
        memory.read_u16(|elements| assert_eq!(elements[..32], [0xffff; 32]));
    }
    assert_eq!(w.value(b), 1.0);
}

#[test]
fn memory_beside_a_line_is_computed_on_all_the_same() {
    let w = World::new(ane_standin::Environment {
        misalign: true,
        threads: 1,
        ..ane_standin::Environment::default()
    });
    let r = &w.runtime;
    w.warm_up();
    let [x, y] = [(); 2].map(|()| r.buffer_alloc(world::BYTES, 0).unwrap());
    for buffer in [x, y] {
        assert_eq!(r.buffer_data_ptr(buffer).unwrap().addr().get() % 64, 16);
    }
    w.fill(x, 3.0);
    let stream = r.stream_create();
    w.run(stream, &[w.doubling(x, y)]).unwrap();
    assert_eq!(w.value(y), 6.0);
    w.run(stream, &[w.doubling(y, x)]).unwrap();
    assert_eq!((w.value(x), w.value(y)), (12.0, 6.0));
}

#[test]
fn a_released_buffer_lives_on_while_it_is_bound() {
    let w = World::quiet();
    let r = &w.runtime;
    let (x, y) = (w.buffer(3.0), w.buffer(0.0));
    let doubling = w.doubling(x, y);
    r.buffer_release(x).unwrap();
    w.run(r.stream_create(), &[doubling]).unwrap();
    assert_eq!(w.value(y), 6.0);
}

#[test]
fn streams_on_many_threads_do_not_disturb_each_other() {
    let w = World::quiet();
    let shared = w.buffer(1.0);
    std::thread::scope(|s| {
        for thread in 0..8_u8 {
            let w = &w;
            s.spawn(move || {
                let stream = w.runtime.stream_create();
                let (a, b) = (w.buffer(1.0), w.buffer(0.0));
                let (there, back) = (w.doubling(a, b), w.doubling(b, a));
                let own = w.buffer(0.0);
                let from_shared = w.doubling(shared, own);
                for _ in 0..5 {
                    w.run(stream, &[there, from_shared, back]).unwrap();
                }
                assert_eq!((w.value(a), w.value(own)), (1024.0, 2.0), "{thread}");
                for operation in [there, back, from_shared] {
                    w.runtime.operation_release(operation).unwrap();
                }
                w.runtime.stream_release(stream).unwrap();
            });
        }
    });
    assert_eq!(w.runtime.loaded(), 0);
}

/// Submits a stream; the code comes through the channel.
fn submitted(w: &World, stream: Handle) -> mpsc::Receiver<i64> {
    let (sender, receiver) = mpsc::channel();
    let done = move |code| sender.send(code).unwrap();
    w.runtime.stream_submit_async(stream, done).unwrap();
    receiver
}

#[test]
fn a_submitted_stream_is_busy_until_its_completion_is_called() {
    let w = World::quiet();
    let r = &w.runtime;
    let stream = r.stream_create();
    let (x, y) = (w.buffer(1.0), w.buffer(0.0));
    let doubling = w.doubling(x, y);
    let gate = r.event_create("gate", 0);
    r.operation_bind_dependent_events(doubling, &[gate])
        .unwrap();
    r.stream_encode(stream, doubling).unwrap();
    let done = submitted(&w, stream);
    for refused in [
        r.stream_encode(stream, doubling),
        r.stream_execute_sync(stream),
        r.stream_reset(stream),
        r.stream_release(stream),
        r.stream_submit_async(stream, |_| ()),
    ] {
        assert_eq!(code(refused), 11);
    }
    assert_eq!(code(r.operation_release(doubling)), 6);
    assert_eq!(w.value(y), 0.0, "it waits for the gate");
    r.event_signal(gate).unwrap();
    assert_eq!(done.recv().unwrap(), 0);
    assert_eq!(w.value(y), 2.0);
    r.stream_reset(stream).unwrap();
    r.operation_release(doubling).unwrap();
}

#[test]
fn dependents_run_after_what_they_depend_on_whichever_stream_it_is_in() {
    let w = World::quiet();
    let r = &w.runtime;
    let (a, b, c) = (w.buffer(1.0), w.buffer(0.0), w.buffer(0.0));
    let (first, second) = (w.doubling(a, b), w.doubling(b, c));
    let (gate, between, end) = (
        r.event_create("gate", 7),
        r.event_create("between", 0),
        r.event_create("end", 0),
    );
    r.operation_bind_dependent_events(first, &[gate]).unwrap();
    r.operation_bind_completion_event(first, between).unwrap();
    r.operation_bind_dependent_events(second, &[between])
        .unwrap();
    r.operation_bind_completion_event(second, end).unwrap();
    let (one, other) = (r.stream_create(), r.stream_create());
    for round in 1..4_u8 {
        if round == 1 {
            r.stream_encode(one, first).unwrap();
            r.stream_encode(other, second).unwrap();
        }
        let one_done = submitted(&w, one);
        let other_done = submitted(&w, other);
        if round == 1 {
            assert_eq!(r.event_last_signaled_value(gate).unwrap(), 7);
            r.event_signal(gate).unwrap();
        }
        r.event_sync_wait(end).unwrap();
        assert_eq!(w.value(c), 4.0 * w.value(a));
        assert_eq!(
            (one_done.recv().unwrap(), other_done.recv().unwrap()),
            (0, 0)
        );
        for event in [between, end] {
            assert_eq!(
                r.event_last_signaled_value(event).unwrap(),
                u64::from(round)
            );
        }
        w.fill(a, f32::from(round) + 1.0);
    }
    assert_eq!(r.event_last_signaled_value(gate).unwrap(), 8);
}

#[test]
fn the_host_can_wait_for_a_signal_of_the_host() {
    let w = World::quiet();
    let event = w.runtime.event_create("e", 0);
    let runtime = Arc::clone(&w.runtime);
    let waiting = std::thread::spawn(move || runtime.event_sync_wait(event).unwrap());
    w.runtime.event_signal(event).unwrap();
    waiting.join().unwrap();
    // What was signalled stays so.
    w.runtime.event_sync_wait(event).unwrap();
}
