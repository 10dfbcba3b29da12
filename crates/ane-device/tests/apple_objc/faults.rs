//! What the framework refuses arrives whole, and leaves nothing behind.

use crate::{
    alone,
    standin::{
        ROUTES, apple, bind, buffers, check_difference, difference, entries, legal, run_difference,
        settings,
    },
};
use ane_device::{AppleError, Device, DeviceError, open};
use ane_ir::Route;
use std::path::Path;

/// Runs `test` in a process of its own for each route, with a directory for temporary files and a plan of faults.
fn planned(name: &str, plan: &str, test: impl Fn(Route, &Path, &dyn Device)) {
    for route in ROUTES {
        // A process per route, because faults are counted over the process.
        let marked = std::env::var("ANE_DEVICE_TEST_ROUTE").ok();
        if !alone::is_alone(name) {
            let dir = tempfile::tempdir().unwrap();
            let path = |part: &str| {
                let path = dir.path().join(part);
                std::fs::create_dir(&path).unwrap();
                path.to_str().unwrap().to_owned()
            };
            let (temporary, faults) = (path("temporary"), path("faults"));
            std::fs::write(Path::new(&faults).join("plan"), plan).unwrap();
            let variables = [
                ("TMPDIR", &*temporary),
                ("ANE_STANDIN_FAULTS", &*faults),
                ("ANE_DEVICE_TEST_ROUTE", route.name()),
            ];
            alone::pass(name, &variables);
            let fired = std::fs::read_to_string(Path::new(&faults).join("fired")).unwrap();
            assert_eq!(
                fired.lines().count(),
                plan.lines().count(),
                "{route}: {fired}"
            );
            assert_eq!(entries(Path::new(&temporary)), [""; 0], "{route}");
        } else if marked.is_some_and(|m| m == route.name()) {
            let programs = std::env::temp_dir().join("programs");
            test(route, &programs, &*apple(route, &programs));
            std::fs::remove_dir_all(&programs).unwrap();
        }
    }
}

fn apple_error(e: DeviceError) -> AppleError {
    match e {
        DeviceError::Apple(e) => *e,
        other => panic!("{other}"),
    }
}

#[test]
fn a_refused_compilation_keeps_the_program_and_says_how_to_replay_it() {
    let name = "faults::a_refused_compilation_keeps_the_program_and_says_how_to_replay_it";
    planned(name, "compile 1 fail\n", |route, programs, device| {
        let e = device.compile(&legal(&difference(1), route)).unwrap_err();
        let text = e.to_string();
        let flags = format!("--device apple --route {route} --target h16");
        for part in ["ANECCompile() FAILED", "ane-trainer inspect", &flags] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let AppleError::CompileRefused { mil, .. } = apple_error(e) else {
            panic!("{text}")
        };
        let kept = std::fs::read_to_string(&mil).unwrap();
        assert!(kept.contains("func main"), "{kept}");
        assert_eq!(entries(programs).len(), 1);
        run_difference(device, route, 1).unwrap();
    });
}

#[test]
fn a_failed_evaluation_carries_the_whole_error() {
    let name = "faults::a_failed_evaluation_carries_the_whole_error";
    planned(name, "execute 1 geometry\n", |route, programs, device| {
        let e = run_difference(device, route, 2).unwrap_err();
        let AppleError::Ns {
            domain, code, text, ..
        } = apple_error(e)
        else {
            panic!("no NSError")
        };
        assert_eq!((&*domain, code), ("com.apple.appleneuralengine", 8));
        let expected = "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: Program Inference error";
        assert!(text.contains(expected), "{text}");
        run_difference(device, route, 2).unwrap();
        assert_eq!(entries(programs), [""; 0]);
    });
}

#[test]
fn outputs_that_were_not_written_are_noticed() {
    let name = "faults::outputs_that_were_not_written_are_noticed";
    planned(name, "execute 2 unwritten\n", |route, _, device| {
        run_difference(device, route, 3).unwrap();
        let e = run_difference(device, route, 3).unwrap_err();
        assert!(matches!(
            apple_error(e),
            AppleError::OutputNotWritten { .. }
        ));
        run_difference(device, route, 3).unwrap();
    });
}

#[test]
fn a_load_that_fails_once_is_tried_again() {
    let name = "faults::a_load_that_fails_once_is_tried_again";
    planned(name, "load 2 fail\n", |route, programs, device| {
        run_difference(device, route, 4).unwrap();
        // There is no place for it, and there is one a little later: nothing is compiled for that.
        let second = apple(route, programs);
        run_difference(&*second, route, 4).unwrap();
        assert_eq!(second.counts().compiles, 1);
    });
}

#[test]
fn a_compiled_program_that_is_damaged_is_compiled_again() {
    let name = "faults::a_compiled_program_that_is_damaged_is_compiled_again";
    planned(name, "load 3 corrupt\n", |route, programs, _| {
        let mut settings = settings(route, programs);
        settings.apple.resident = 1;
        let device = open("apple", &settings).unwrap();
        let mut all: Vec<_> = [5, 6]
            .map(|n| {
                let graph = difference(n);
                let program = device.compile(&legal(&graph, route)).unwrap();
                let buffers = buffers(&*device, &graph);
                (bind(&*program, &buffers).unwrap(), buffers, n)
            })
            .into();
        assert_eq!(device.counts().compiles, 2);
        // The first was evicted for the second, and is damaged when it comes back.
        for compiles in [3, 3] {
            for (bound, buffers, n) in &mut all {
                check_difference(&mut **bound, buffers, *n).unwrap();
            }
            assert_eq!(device.counts().compiles, compiles);
        }
    });
}

#[test]
fn a_program_that_is_refused_when_it_comes_back_is_kept_too() {
    let name = "faults::a_program_that_is_refused_when_it_comes_back_is_kept_too";
    let plan = "load 3 corrupt\ncompile 3 fail\n";
    planned(name, plan, |route, programs, _| {
        let mut settings = settings(route, programs);
        settings.apple.resident = 1;
        let device = open("apple", &settings).unwrap();
        let mut all = [5, 6].map(|n| {
            let graph = difference(n);
            let program = device.compile(&legal(&graph, route)).unwrap();
            let buffers = buffers(&*device, &graph);
            (bind(&*program, &buffers).unwrap(), buffers, n)
        });
        // The first was evicted for the second, and is found damaged and refused when it comes back.
        let (bound, buffers, n) = &mut all[0];
        let e = check_difference(&mut **bound, buffers, *n).unwrap_err();
        let AppleError::CompileRefused { mil, .. } = apple_error(e) else {
            panic!("another error")
        };
        check_difference(&mut **bound, buffers, *n).unwrap();
        drop((all, device));
        let kept = std::fs::read_to_string(&mil).unwrap();
        assert!(kept.contains("func main"), "{kept}");
        assert_eq!(entries(programs).len(), 1);
    });
}

#[test]
fn outputs_that_are_corrupted_differ() {
    let name = "faults::outputs_that_are_corrupted_differ";
    planned(name, "execute 2 corrupt\n", |route, _, device| {
        let graph = difference(3);
        let program = device.compile(&legal(&graph, route)).unwrap();
        let buffers = buffers(device, &graph);
        let mut bound = bind(&*program, &buffers).unwrap();
        check_difference(&mut *bound, &buffers, 3).unwrap();
        let bytes = || -> Vec<_> { buffers.iter().map(|(_, b)| b.copy_out_bytes()).collect() };
        let good = bytes();
        bound.execute().unwrap();
        assert_ne!(bytes(), good);
        bound.execute().unwrap();
        assert_eq!(bytes(), good);
    });
}

#[test]
fn leaks_and_failures_to_unload_hold_nothing_up() {
    let name = "faults::leaks_and_failures_to_unload_hold_nothing_up";
    let plan = "compile 1 leak\nload 2 leak\nexecute 3 leak\nunload 1 leak\nunload 2 fail\n";
    planned(name, plan, |route, programs, device| {
        for n in 0..5 {
            run_difference(device, route, n).unwrap();
            assert_eq!(entries(programs), [""; 0]);
        }
    });
}

#[test]
fn the_limit_of_loaded_programs_is_met_by_unloading() {
    let name = "faults::the_limit_of_loaded_programs_is_met_by_unloading";
    if !alone::is_alone(name) {
        alone::pass(name, &[("ANE_STANDIN_MAX_LOADED", "4")]);
        return;
    }
    let programs = tempfile::tempdir().unwrap();
    for route in ROUTES {
        // The budget is larger than what the engine takes here, as when other programs of the process use it too.
        let device = open("apple", &settings(route, programs.path())).unwrap();
        let kept: Vec<_> = (0..7)
            .map(|n| {
                let graph = difference(50 + n);
                device.compile(&legal(&graph, route)).unwrap()
            })
            .collect();
        for n in 0..7 {
            run_difference(&*device, route, 50 + n).unwrap();
        }
        drop(kept);
        assert_eq!(entries(programs.path()), [""; 0]);
    }
}

#[test]
fn an_engine_that_others_have_filled_says_what_to_end() {
    let name = "faults::an_engine_that_others_have_filled_says_what_to_end";
    if !alone::is_alone(name) {
        alone::pass(name, &[("ANE_STANDIN_MAX_LOADED", "2")]);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let (ours, theirs) = (root.path().join("ours"), root.path().join("theirs"));
        let device = apple(route, &theirs);
        let kept: Vec<_> = (0..2)
            .map(|n| device.compile(&legal(&difference(n), route)).unwrap())
            .collect();
        // Another device's programs are not for us to unload.
        let other = apple(route, &ours);
        let graph = legal(&difference(9), route);
        let e = other.compile(&graph).unwrap_err();
        let said = e.to_string();
        for words in [
            "too many programs are loaded",
            "end other programs that use the Neural Engine",
            "model.mil",
        ] {
            assert!(said.contains(words), "{route}: {said}");
        }
        assert!(matches!(
            apple_error(e),
            AppleError::Ns { is_full: true, .. }
        ));
        assert_eq!(entries(&ours), [""; 0], "the program is not at fault");
        drop(kept);
        run_difference(&*other, route, 9).unwrap();
        drop(other);
        assert_eq!((entries(&ours).len(), entries(&theirs).len()), (0, 0));
    }
}
