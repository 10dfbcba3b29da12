//! How many programs are loaded at a time, threads, and that nothing is left over.

use crate::alone;
use crate::framework::{InMemory, Surface, binary, pooled, request};
use neuralengine_standin::{live_objects, loaded_programs};

#[test]
fn more_programs_than_the_limit_are_not_loaded() {
    let name = "limits::more_programs_than_the_limit_are_not_loaded";
    if !alone::is_alone(name) {
        return alone::pass(name, &[]);
    }
    let models: Vec<InMemory> = (0..126)
        .map(|_| InMemory::ready(&binary("add", "a", "b")))
        .collect();
    let one_more = InMemory::new(&binary("add", "a", "b"));
    one_more.compile().unwrap();
    let (code, text) = one_more.load().unwrap_err();
    assert_eq!(code, 6);
    assert!(text.contains("Program load failure (0x50004)"), "{text}");

    // The same program a second time takes no place.
    let text = std::fs::read_to_string(models[0].directory.join("model.mil")).unwrap();
    let twin = InMemory::without_files(&text, &[]);
    twin.load().unwrap();
    models[0].unload().unwrap();
    assert!(one_more.load().is_err(), "its twin still has the place");
    twin.unload().unwrap();
    one_more.load().unwrap();
    for model in &models[1..] {
        model.unload().unwrap();
    }
    one_more.unload().unwrap();
    assert_eq!(loaded_programs(), 0);
}

#[test]
fn the_limit_can_be_set() {
    let name = "limits::the_limit_can_be_set";
    if !alone::is_alone(name) {
        return alone::pass(name, &[("ANE_STANDIN_MAX_LOADED", "1")]);
    }
    let first = InMemory::ready(&binary("add", "a", "b"));
    let second = InMemory::new(&binary("add", "a", "b"));
    assert!(second.load().is_err());
    first.unload().unwrap();
    second.load().unwrap();
}

#[test]
fn compilations_run_out_and_what_is_cached_takes_none() {
    let name = "limits::compilations_run_out_and_what_is_cached_takes_none";
    if !alone::is_alone(name) {
        return alone::pass(name, &[("ANE_STANDIN_MAX_COMPILES", "2")]);
    }
    let text = binary("add", "a", "b");
    for _ in 0..3 {
        let model = InMemory::ready(&text);
        model.unload().unwrap();
    }
    InMemory::new(&binary("add", "a", "b")).compile().unwrap();
    let one_more = InMemory::new(&binary("add", "a", "b"));
    let (code, text) = one_more.compile().unwrap_err();
    assert_eq!(code, 10);
    assert!(text.ends_with("FAILED err=()"), "{text}");
}

/// One life of a program.
fn cycle(text: &str) {
    pooled(|| {
        let model = InMemory::ready(text);
        let (x, y) = (Surface::filled(0x3C00), Surface::small());
        model
            .evaluate(&request(&[(0, &x), (1, &x)], &[(0, &y)]))
            .unwrap();
        assert_eq!(y.bits(), Some(0x4000));
        model.unload().unwrap();
        assert!(!model.directory.exists());
    });
}

#[test]
fn nothing_is_left_after_many_lives() {
    let name = "limits::nothing_is_left_after_many_lives";
    let soak = std::env::var_os("ANE_TRAINER_SOAK").is_some();
    if !alone::is_alone(name) {
        // A thread of the engine gets memory of its own with its first task, which for programs as short as this one may
        // come after any number of lives. Next to what 10,000 of them may leave that is little.
        let one_thread = [("ANE_STANDIN_THREADS", "1")];
        return alone::pass(name, if soak { &[] } else { &one_thread });
    }
    let text = binary("add", "a", "b");
    let lives = |count: usize| {
        for _ in 0..count {
            cycle(&text);
            assert_eq!((live_objects(), loaded_programs()), (0, 0));
        }
    };
    let count = if soak { 10_000 } else { 800 };
    lives(200);
    let files = open_files();
    // Allocators take memory in steps that have nothing to do with one life, here and there. What a life keeps shows in
    // every stretch of lives.
    let grown = (0..4).map(|_| {
        let memory = resident_bytes();
        lives(count / 4);
        resident_bytes().saturating_sub(memory)
    });
    let least = grown.min().expect("there are four stretches");
    assert_eq!(open_files(), files);
    // A page or two come and go; lives that kept a page each would keep hundreds.
    let allowed = 1024 * (count / 4);
    assert!(
        least < allowed,
        "{least} bytes more at least after every {} lives",
        count / 4
    );
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn old_programs_that_are_not_loaded_are_forgotten() {
    let name = "limits::old_programs_that_are_not_loaded_are_forgotten";
    if !alone::is_alone(name) {
        return alone::pass(name, &[]);
    }
    let loaded = InMemory::ready(&binary("add", "a", "b"));
    let compiled = || {
        let model = InMemory::new(&binary("add", "a", "b"));
        model.compile().unwrap();
        model
    };
    let first = compiled();
    let others: Vec<InMemory> = (0..255).map(|_| compiled()).collect();
    assert!(first.is_compiled());
    let last = compiled();
    assert!(!first.is_compiled());
    assert!(loaded.is_compiled() && last.is_compiled() && others[0].is_compiled());
}

#[test]
fn many_threads_start_cold() {
    let name = "limits::many_threads_start_cold";
    if !alone::is_alone(name) {
        return alone::pass(name, &[]);
    }
    let gate = std::sync::Barrier::new(32);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                gate.wait();
                cycle(&binary("add", "a", "b"));
            });
        }
    });
    assert_eq!((live_objects(), loaded_programs()), (0, 0));
}
