//! Compiling, loading, running and unloading over and over costs nothing that stays.

use crate::{
    alone,
    standin::{apple, entries, run_difference},
};
use ane_ir::Route;
use std::path::Path;

/// Cycles before anything is measured, and after.
const WARM_UP: usize = 100;
const SHORT: usize = 200;
const LONG: usize = 10_000;

/// Largest growth of memory in a long run, in bytes a cycle.
const GROWTH: usize = 1024;

fn is_soak() -> bool {
    std::env::var_os("ANE_TRAINER_SOAK").is_some()
}

/// Resident memory of this process.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    1024 * line
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
}

fn files() -> usize {
    entries(Path::new("/proc/self/fd")).len()
}

fn cycles(name: &str, route: Route) {
    if !alone::is_alone(name) {
        let dir = tempfile::tempdir().unwrap();
        let output = alone::pass(name, &[("TMPDIR", dir.path().to_str().unwrap())]);
        println!("{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(entries(dir.path()), [""; 0]);
        return;
    }
    let programs = std::env::temp_dir().join("programs");
    let device = apple(route, &programs);
    let run = |n: usize| (0..n).for_each(|_| run_difference(&*device, route, 1).unwrap());
    run(WARM_UP);
    let n = if is_soak() { LONG } else { SHORT };
    let (bytes, open) = (memory(), files());
    run(n);
    assert_eq!(files(), open, "file descriptors");
    assert_eq!(entries(&programs), [""; 0]);
    let grown = memory().saturating_sub(bytes);
    println!("{route}: {grown} bytes in {n} cycles");
    // Pages come and go in a short run; in a long one only what leaks is left.
    if is_soak() {
        assert!(grown < GROWTH * n, "{grown} bytes in {n} cycles");
    }
    std::fs::remove_dir_all(programs).unwrap();
}

#[test]
fn nothing_stays_of_a_program_of_the_client() {
    cycles(
        "cycles::nothing_stays_of_a_program_of_the_client",
        Route::Client,
    );
}

#[test]
fn nothing_stays_of_a_program_from_memory() {
    cycles(
        "cycles::nothing_stays_of_a_program_from_memory",
        Route::Memory,
    );
}
