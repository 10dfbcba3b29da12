//! Every fault that leaves the process alive, at every event it fits.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/world.rs"]
mod world;

use ane_standin::{Environment, Faults, PlannedFault};
use std::sync::mpsc;
use world::{DOUBLE, World, code};

fn suffering<const N: usize>(plan: [&str; N]) -> World {
    let planned = plan.map(|line| line.parse::<PlannedFault>().unwrap());
    World::new(Environment {
        faults: Faults::planned(planned),
        threads: 1,
        ..Environment::default()
    })
}

#[test]
fn failures_are_errors_and_what_failed_can_be_done_again() {
    let w = suffering([
        "compile 1 fail",
        "load 1 fail",
        "execute 1 fail",
        "unload 1 fail",
    ]);
    let r = &w.runtime;
    assert_eq!(code(w.try_library(DOUBLE)), 12);
    let library = w.library(DOUBLE);
    assert_eq!(code(w.try_operation(library, "main")), 12);
    assert_eq!(r.loaded(), 0);
    let (x, y) = (w.buffer(1.0), w.buffer(9.0));
    let doubling = w.doubling(x, y);
    let stream = r.stream_create();
    assert_eq!(code(w.run(stream, &[doubling])), 12);
    assert_eq!(w.value(y), 9.0);
    w.run(stream, &[doubling]).unwrap();
    assert_eq!(w.value(y), 2.0);
    assert_eq!(code(r.operation_release(doubling)), 12);
    r.operation_release(doubling).unwrap();
    assert_eq!(r.loaded(), 0);
    assert_eq!(r.environment().faults.fired().unwrap().len(), 4);
}

#[test]
fn executions_are_refused_left_out_or_damaged_as_planned() {
    let w = suffering([
        "execute 1 geometry",
        "execute 2 unwritten",
        "execute 3 corrupt",
        "execute 4 zeros",
    ]);
    let (x, y) = (w.buffer(1.0), w.buffer(9.0));
    let doubling = w.doubling(x, y);
    let stream = w.runtime.stream_create();
    assert_eq!(code(w.run(stream, &[doubling])), 13);
    w.run(stream, &[doubling]).unwrap();
    assert_eq!(w.value(y), 9.0, "nothing was written, and success reported");
    w.run(stream, &[doubling]).unwrap();
    let memory = w.runtime.buffer_memory(y).unwrap();
    let elements = memory.read_u16(<[u16]>::to_vec);
    assert_eq!(elements[0], 0x4000 ^ 0x4000, "2 with a bit flipped");
    assert_eq!(elements[1..], [0x4000; 31]);
    w.run(stream, &[doubling]).unwrap();
    assert_eq!(w.value(y), 0.0);
    w.run(stream, &[doubling]).unwrap();
    assert_eq!(w.value(y), 2.0);
}

#[test]
fn a_failure_ends_its_stream_and_frees_who_waits_for_it() {
    let w = suffering(["execute 1 fail"]);
    let r = &w.runtime;
    let (a, b, c) = (w.buffer(1.0), w.buffer(0.0), w.buffer(0.0));
    let (first, second) = (w.doubling(a, b), w.doubling(b, c));
    let event = r.event_create("first", 0);
    r.operation_bind_completion_event(first, event).unwrap();
    let stream = r.stream_create();
    r.stream_encode(stream, first).unwrap();
    r.stream_encode(stream, second).unwrap();
    let (sender, done) = mpsc::channel();
    r.stream_submit_async(stream, move |code| sender.send(code).unwrap())
        .unwrap();
    r.event_sync_wait(event).unwrap();
    assert_eq!(done.recv().unwrap(), 12);
    r.stream_reset(stream).unwrap();
    assert_eq!((w.value(b), w.value(c)), (0.0, 0.0));
    let counts = r.environment().faults.counts().unwrap();
    assert_eq!(
        counts.of(ane_standin::Event::Execute),
        1,
        "the second did not run"
    );
}

#[test]
fn a_leak_keeps_a_place_among_the_loaded_programs() {
    let w = suffering([
        "load 1 leak",
        "unload 3 leak",
        "compile 2 leak",
        "execute 1 leak",
    ]);
    let r = &w.runtime;
    for expected in [1, 1, 2] {
        let doubling = w.doubling(w.buffer(1.0), w.buffer(0.0));
        let stream = r.stream_create();
        w.run(stream, &[doubling]).unwrap();
        r.operation_release(doubling).unwrap();
        assert_eq!(r.loaded(), expected);
    }
    assert_eq!(r.environment().faults.fired().unwrap().len(), 4);
}
