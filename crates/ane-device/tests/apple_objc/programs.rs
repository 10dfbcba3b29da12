//! Programs, bindings and buffers.

use crate::alone;
use crate::standin::{
    ROUTES, apple, bind, buffers, check_difference, difference, entries, legal, run_difference,
    settings, software,
};
use ane_device::{Bound, Buffer, Device, DeviceError, open};
use ane_ir::{Graph, Literal, Route, TensorType};

#[test]
fn ports_are_bound_by_name_and_rows_are_padded() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let device = apple(route, programs.path());
        run_difference(&*device, route, 1).unwrap();
        assert_eq!(
            (device.counts().compiles, device.counts().dispatches),
            (1, 1)
        );
    }
}

#[test]
fn state_goes_back_and_forth_between_two_bindings() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let device = apple(route, programs.path());
        let ty = TensorType::fp16([2, 10]);
        let mut g = Graph::new();
        let x = g.input("x", ty.clone()).unwrap();
        let y = g.add(x, x).unwrap();
        g.output("y", y).unwrap();
        let program = device.compile(&legal(&g, route)).unwrap();
        let (a, b) = (device.allocate(&ty).unwrap(), device.allocate(&ty).unwrap());
        let mut there = program.bind(&[("x", &a), ("y", &b)]).unwrap();
        let mut back = program.bind(&[("x", &b), ("y", &a)]).unwrap();
        a.copy_in(&[1.5; 20]).unwrap();
        for _ in 0..3 {
            there.execute().unwrap();
            back.execute().unwrap();
        }
        assert_eq!(a.copy_out(), [96.0; 20]);
        let e = program.bind(&[("x", &a), ("y", &a)]).unwrap_err();
        assert!(matches!(e, DeviceError::Bind(_)), "{e}");
    }
}

/// y = x + w, with w in a weight file.
fn weighted(w: &[f64]) -> Graph {
    let ty = TensorType::fp16([1, w.len()]);
    let mut g = Graph::new();
    let x = g.input("x", ty.clone()).unwrap();
    let w = g.constant(Literal::from_f64(ty, w)).unwrap();
    let y = g.add(x, w).unwrap();
    g.output("y", y).unwrap();
    g
}

fn run_weighted(device: &dyn Device, route: Route, w: &[f64]) {
    let graph = weighted(w);
    let program = device.compile(&legal(&graph, route)).unwrap();
    let buffers = buffers(device, &graph);
    buffers[0].1.copy_in(&vec![0.25; w.len()]).unwrap();
    bind(&*program, &buffers).unwrap().execute().unwrap();
    let expected: Vec<f32> = w.iter().map(|&w| w as f32 + 0.25).collect();
    assert_eq!(buffers[1].1.copy_out(), expected);
}

fn ramp(step: f64) -> Vec<f64> {
    (0..64).map(|i| f64::from(i) * step).collect()
}

#[test]
fn weights_travel_as_a_file() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        run_weighted(&*apple(route, programs.path()), route, &ramp(1.0));
    }
}

#[test]
fn programs_that_differ_in_weights_alone_are_told_apart() {
    const NAME: &str = "programs::programs_that_differ_in_weights_alone_are_told_apart";
    if !alone::is_alone(NAME) {
        // The framework may not look at the weights when it names a program.
        alone::pass(NAME, &[("ANE_STANDIN_WEIGHTS_HASH", "offset")]);
        return;
    }
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let device = apple(route, programs.path());
        run_weighted(&*device, route, &ramp(1.0));
        run_weighted(&*device, route, &ramp(0.5));
        assert_eq!(device.counts().compiles, 2);
    }
}

#[test]
fn the_framework_says_where_programs_from_memory_lie() {
    const NAME: &str = "programs::the_framework_says_where_programs_from_memory_lie";
    let dir = tempfile::tempdir().unwrap();
    if !alone::is_alone(NAME) {
        let path = dir.path().to_str().unwrap();
        alone::pass(NAME, &[("ANE_STANDIN_TMPDIR", path)]);
        assert_eq!(entries(dir.path()), [""; 0]);
        return;
    }
    run_difference(&*apple(Route::Memory, dir.path()), Route::Memory, 1).unwrap();
}

#[test]
fn devices_with_the_same_program_do_not_disturb_each_other() {
    const NAME: &str = "programs::devices_with_the_same_program_do_not_disturb_each_other";
    let temporary = tempfile::tempdir().unwrap();
    if !alone::is_alone(NAME) {
        alone::pass(NAME, &[("TMPDIR", temporary.path().to_str().unwrap())]);
        assert_eq!(entries(temporary.path()), [""; 0]);
        return;
    }
    let all = || entries(&std::env::temp_dir()).len();
    let before = all();
    let programs = temporary.path();
    let graph = difference(7);
    let compile = || {
        let device = apple(Route::Memory, programs);
        let program = device.compile(&legal(&graph, Route::Memory)).unwrap();
        (program, device)
    };
    let (first, second) = (compile(), compile());
    assert_eq!(all(), before + 2, "a directory each");
    drop(first);
    assert_eq!(all(), before + 1);
    drop(second);
    assert_eq!(all(), before);
}

#[test]
fn threads_may_load_and_unload_at_once() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let mut settings = settings(route, programs.path());
        settings.apple.resident = 2;
        std::thread::scope(|scope| {
            for n in 0..4 {
                let settings = &settings;
                scope.spawn(move || {
                    let device = open("apple", settings).unwrap();
                    (0..8).for_each(|i| run_difference(&*device, route, n + i % 2).unwrap());
                });
            }
        });
        assert_eq!(entries(programs.path()), [""; 0]);
    }
}

#[test]
fn the_daemon_forgets_programs_that_are_given_up_and_no_others() {
    const NAME: &str = "programs::the_daemon_forgets_programs_that_are_given_up_and_no_others";
    let marked = std::env::var("ANE_DEVICE_TEST_ROUTE").ok();
    for route in ROUTES {
        if !alone::is_alone(NAME) {
            let route = route.name();
            let variables = [("ANE_STANDIN_LOG", "1"), ("ANE_DEVICE_TEST_ROUTE", route)];
            let output = alone::pass(NAME, &variables);
            let log = String::from_utf8_lossy(&output.stderr);
            let before = log.lines().take_while(|l| *l != "GIVING UP");
            let forgotten = |line: &&str| line.contains("a program is forgotten");
            assert_eq!(before.filter(forgotten).count(), 0, "{route}: {log}");
            assert_eq!(log.lines().filter(forgotten).count(), 3, "{route}: {log}");
            // What an object lets go of when it is released must find a pool.
            assert!(!log.contains("autorelease called without pool"), "{log}");
            continue;
        }
        if marked.as_deref() != Some(route.name()) {
            continue;
        }
        let programs = tempfile::tempdir().unwrap();
        let mut settings = settings(route, programs.path());
        settings.apple.resident = 1;
        let device = open("apple", &settings).unwrap();
        let all = run_all(&*device, route, 3);
        eprintln!("\nGIVING UP");
        drop(all);
    }
}

#[test]
fn compilations_do_not_run_out_by_eviction() {
    const NAME: &str = "programs::compilations_do_not_run_out_by_eviction";
    let marked = std::env::var("ANE_DEVICE_TEST_ROUTE").ok();
    for route in ROUTES {
        if !alone::is_alone(NAME) {
            let route = route.name();
            let variables = [
                ("ANE_STANDIN_MAX_COMPILES", "4"),
                ("ANE_DEVICE_TEST_ROUTE", route),
            ];
            alone::pass(NAME, &variables);
        } else if marked.as_deref() == Some(route.name()) {
            let programs = tempfile::tempdir().unwrap();
            let mut settings = settings(route, programs.path());
            settings.apple.resident = 2;
            let device = open("apple", &settings).unwrap();
            let all = run_all(&*device, route, 4);
            assert_eq!(device.counts().compiles, 4);
            let e = run_difference(&*device, route, 99).unwrap_err().to_string();
            assert!(e.contains("ANECCompile() FAILED"), "{e}");
            drop(all);
        }
    }
}

type Run = (Box<dyn Bound>, Vec<(String, Buffer)>);

/// Programs that have run twice each, in turn.
fn run_all(device: &dyn Device, route: Route, count: usize) -> Vec<Run> {
    let one = |n: usize| {
        let graph = difference(n);
        let program = device.compile(&legal(&graph, route)).unwrap();
        let buffers = buffers(device, &graph);
        (bind(&*program, &buffers).unwrap(), buffers)
    };
    let mut all: Vec<Run> = (0..count).map(one).collect();
    for _ in 0..2 {
        for (n, (bound, buffers)) in all.iter_mut().enumerate() {
            check_difference(&mut **bound, buffers, n).unwrap();
        }
    }
    all
}

#[test]
fn buffers_of_another_device_are_refused() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let device = apple(route, programs.path());
        let graph = difference(2);
        let program = device.compile(&legal(&graph, route)).unwrap();
        for other in [software(route), apple(route, programs.path())] {
            let mut all = buffers(&*device, &graph);
            all[3].1 = buffers(&*other, &graph)[3].1.clone();
            let e = bind(&*program, &all).unwrap_err().to_string();
            assert!(e.contains("port `z`"), "{e}");
        }
    }
}

#[test]
fn more_programs_than_the_budget_run_and_leave_nothing() {
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let mut settings = settings(route, programs.path());
        settings.apple.resident = 5;
        let device = open("apple", &settings).unwrap();
        let mut all: Vec<_> = (0..12)
            .map(|n| {
                let graph = difference(100 + n);
                let program = device.compile(&legal(&graph, route)).unwrap();
                let buffers = buffers(&*device, &graph);
                (bind(&*program, &buffers).unwrap(), buffers)
            })
            .collect();
        for _ in 0..2 {
            for (n, (bound, buffers)) in all.iter_mut().enumerate() {
                check_difference(&mut **bound, buffers, 100 + n).unwrap();
            }
        }
        assert_eq!(device.counts().dispatches, 24);
        drop(all);
        assert_eq!(entries(programs.path()), [""; 0]);
    }
}
