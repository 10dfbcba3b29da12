//! Nothing is left behind by programs that come and go.
//!
//! The only test of its process, so that what the process holds is its own.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/world.rs"]
mod world;

use std::{fs, path::Path};
use world::{DOUBLE, World};

/// Cycles of the long form, and of the short one.
const CYCLES: (usize, usize) = (10_000, 200);
/// Cycles after which memory is measured for the first time: tables and pools have grown by then.
const WARM: usize = 1_000;
/// Most bytes that a cycle of the long form may leave behind.
const MOST_BYTES: usize = 1024;
/// Size of a page of memory in `/proc`.
const PAGE: usize = 4096;

/// Open files, where the system can say.
fn open_files() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

/// Resident memory in bytes, where the system can say.
fn resident() -> Option<usize> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

/// Compiles, loads, executes, resets, executes again and gives everything back.
fn cycle(w: &World, value: f32) {
    let r = &w.runtime;
    let (x, y) = (w.buffer(value), w.buffer(0.0));
    let doubling = w.doubling(x, y);
    let stream = r.stream_create();
    for _ in 0..2 {
        w.run(stream, &[doubling]).unwrap();
    }
    assert_eq!(w.value(y), 2.0 * value);
    r.stream_release(stream).unwrap();
    r.operation_release(doubling).unwrap();
    r.buffer_release(x).unwrap();
    r.buffer_release(y).unwrap();
}

#[test]
fn cycles_leave_no_handle_no_file_no_program_and_no_memory() {
    let long = std::env::var_os("ANE_TRAINER_SOAK").is_some();
    let cycles = if long { CYCLES.0 } else { CYCLES.1 };
    let w = World::quiet();
    w.written(DOUBLE);
    cycle(&w, 1.0);
    let files = open_files();
    let entries = |path: &Path| fs::read_dir(path).unwrap().count();
    let folder = entries(w.directory.path());
    let mut warm = None;
    for i in 0..cycles {
        cycle(&w, (i % 64) as f32);
        if i == WARM {
            warm = resident();
        }
    }
    assert_eq!((w.runtime.live_handles(), w.runtime.loaded()), (0, 0));
    assert_eq!(open_files(), files);
    assert_eq!(entries(w.directory.path()), folder);
    if let (Some(warm), Some(now)) = (warm, resident()) {
        let slope = now.saturating_sub(warm) / (cycles - WARM);
        println!("{slope} bytes a cycle over {} cycles", cycles - WARM);
        assert!(slope < MOST_BYTES, "{slope} bytes a cycle");
    }
}
