//! The route e5rt over the stand-in for Espresso: the same bits as the software device, and errors that say what to do.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "apple_e5rt/devices.rs"]
mod devices;
#[path = "apple_e5rt/faults.rs"]
mod faults;
#[path = "apple_e5rt/ops.rs"]
mod ops;

use ane_device::{AppleOptions, Device, DeviceError, Settings, open};
use ane_engine::BindError;
use ane_ir::{Chip, Graph, Route, Target, TensorType};
use ane_mil::LegalGraph;
use devices::{H16, allocate, apple, legal, scale, settings, software};
use std::process::Command;

#[test]
fn state_goes_back_and_forth_between_two_bindings_of_a_program() {
    let programs = tempfile::tempdir().unwrap();
    let device = apple(programs.path());
    let program = device.compile(&scale(H16, 2)).unwrap();
    let (a, b) = allocate(&*device, &TensorType::fp16([2, 32]));
    let mut there = program.bind(&[("x", &a), ("y", &b)]).unwrap();
    let mut back = program.bind(&[("x", &b), ("y", &a)]).unwrap();
    a.copy_in(&[1.5; 64]).unwrap();
    for _ in 0..3 {
        there.execute().unwrap();
        back.execute().unwrap();
    }
    assert_eq!(a.copy_out(), [96.0; 64]);
    assert_eq!(device.counts().dispatches, 6);
    assert_eq!(device.counts().compiles, 1);
}

#[test]
fn outputs_in_place_of_inputs_are_refused_where_the_graph_does_not_declare_them() {
    let programs = tempfile::tempdir().unwrap();
    for device in [apple(programs.path()), software(H16)] {
        let program = device.compile(&scale(H16, 2)).unwrap();
        let (a, _) = allocate(&*device, &TensorType::fp16([2, 32]));
        let e = program.bind(&[("x", &a), ("y", &a)]).unwrap_err();
        let DeviceError::Bind(BindError::Shared { output, other }) = e else {
            panic!("{e}")
        };
        assert_eq!((&*output, &*other), ("y", "x"));
    }
}

#[test]
fn declared_state_is_updated_in_place() {
    let programs = tempfile::tempdir().unwrap();
    let mut g = Graph::new();
    let ty = TensorType::fp16([2, 32]);
    let w = g.input("w", ty.clone()).unwrap();
    let one = g.scalar(ane_ir::DType::Fp16, 1.0).unwrap();
    let (next, old) = (g.add(w, one).unwrap(), g.abs(w).unwrap());
    let next = g.add(next, w).unwrap();
    g.output("next", next).unwrap();
    g.output("old", old).unwrap();
    g.declare_in_place("w", "next").unwrap();
    let graph = legal(&g, H16);
    assert_eq!(graph.graph().in_place(), [(0, 0)]);
    for device in [apple(programs.path()), software(H16)] {
        let program = device.compile(&graph).unwrap();
        let (state, old) = allocate(&*device, &ty);
        state.copy_in(&[1.0; 64]).unwrap();
        let ports = [("w", &state), ("next", &state), ("old", &old)];
        let mut bound = program.bind(&ports).unwrap();
        for (before, after) in [(1.0, 3.0), (3.0, 7.0), (7.0, 15.0)] {
            bound.execute().unwrap();
            assert_eq!(old.copy_out(), [before; 64], "{device:?}");
            assert_eq!(state.copy_out(), [after; 64], "{device:?}");
        }
    }
}

#[test]
fn code_for_another_chip_is_made_only_when_that_was_named() {
    let programs = tempfile::tempdir().unwrap();
    // The stand-in has an H16; nothing here knows that, as with a chip that is newer than this program.
    let h13 = Target::new(Chip::H13, Route::E5rt);
    let mut settings = settings(h13, programs.path());
    let run = |settings: &Settings| {
        let device = open("apple", settings).unwrap();
        let program = device.compile(&scale(h13, 2)).unwrap();
        let (x, y) = allocate(&*device, &TensorType::fp16([2, 32]));
        x.copy_in(&[1.5; 64]).unwrap();
        let mut bound = program.bind(&[("x", &x), ("y", &y)])?;
        bound.execute()?;
        Ok::<_, DeviceError>(y.copy_out())
    };
    assert_eq!(run(&settings).unwrap(), [3.0; 64]);
    settings.apple.chip_is_named = true;
    let e = run(&settings).unwrap_err().to_string();
    assert!(e.contains("compiled for h13, this machine has h16"), "{e}");
}

#[test]
fn buffers_of_another_device_are_refused() {
    let programs = tempfile::tempdir().unwrap();
    let device = apple(programs.path());
    let program = device.compile(&scale(H16, 2)).unwrap();
    let ty = TensorType::fp16([2, 32]);
    let (ours, _) = allocate(&*device, &ty);
    let other = software(H16);
    for theirs in [
        other.allocate(&ty).unwrap(),
        apple(programs.path()).allocate(&ty).unwrap(),
    ] {
        let e = program.bind(&[("x", &ours), ("y", &theirs)]).unwrap_err();
        assert!(e.to_string().contains("port `y`"), "{e}");
        // Ours are memory like any other to the software device.
        let program = other.compile(&scale(H16, 2)).unwrap();
        program.bind(&[("x", &ours), ("y", &theirs)]).unwrap();
    }
}

#[test]
fn memory_is_zero_and_can_be_had_before_anything_is_compiled() {
    let programs = tempfile::tempdir().unwrap();
    let device = apple(programs.path());
    let x = device.allocate(&TensorType::fp16([5, 7])).unwrap();
    assert_eq!(x.copy_out(), [0.0; 35]);
    assert_eq!(device.counts().compiles, 0, "nobody asked for a program");
}

#[test]
fn the_same_program_is_compiled_once_and_its_directory_goes_with_it() {
    let programs = tempfile::tempdir().unwrap();
    let device = apple(programs.path());
    let count = || std::fs::read_dir(programs.path()).unwrap().count();
    let a = device.compile(&scale(H16, 2)).unwrap();
    let b = device.compile(&scale(H16, 2)).unwrap();
    assert_eq!((device.counts().compiles, count()), (1, 1));
    drop(a);
    let c = device.compile(&scale(H16, 3)).unwrap();
    assert_eq!((device.counts().compiles, count()), (2, 2));
    drop((b, c));
    assert_eq!(count(), 0);
    drop(device.compile(&scale(H16, 2)).unwrap());
    assert_eq!(device.counts().compiles, 3);
}

#[test]
fn three_hundred_programs_run_though_the_engine_takes_fewer() {
    let programs = tempfile::tempdir().unwrap();
    let device = apple(programs.path());
    let ty = TensorType::fp16([2, 32]);
    let (x, y) = allocate(&*device, &ty);
    x.copy_in(&[1.0; 64]).unwrap();
    let mut all: Vec<_> = (0_u16..300)
        .map(|i| {
            let program = device.compile(&scale(H16, 2 + i)).unwrap();
            program.bind(&[("x", &x), ("y", &y)]).unwrap()
        })
        .collect();
    // Twice round, so that every program comes back after it was unloaded.
    for (i, bound) in all.iter_mut().enumerate() {
        bound.execute().unwrap();
        assert_eq!(y.copy_out()[0], 2.0 + i as f32);
    }
    for (i, bound) in all.iter_mut().enumerate() {
        bound.execute().unwrap();
        assert_eq!(y.copy_out()[63], 2.0 + i as f32);
    }
    assert_eq!(device.counts().dispatches, 600);
    drop(all);
    assert_eq!(std::fs::read_dir(programs.path()).unwrap().count(), 0);
}

#[test]
fn graphs_of_another_target_are_refused() {
    let programs = tempfile::tempdir().unwrap();
    let device = apple(programs.path());
    let h13 = Target::new(Chip::H13, Route::E5rt);
    let e = device.compile(&scale(h13, 2)).unwrap_err();
    assert!(matches!(e, DeviceError::Target { .. }), "{e}");
}

#[test]
fn a_missing_framework_is_named_with_what_replaces_it() {
    let options = AppleOptions {
        espresso: "/nowhere/Espresso".into(),
        ..AppleOptions::default()
    };
    let settings = Settings {
        target: H16,
        apple: options,
        ..Settings::default()
    };
    let e = open("apple", &settings).unwrap_err().to_string();
    assert!(
        e.contains("/nowhere/Espresso") && e.contains("ANE_TRAINER_ESPRESSO"),
        "{e}"
    );
}

#[test]
fn a_missing_function_is_named_with_its_library() {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("e.c"), dir.path().join("libe.so"));
    std::fs::write(
        &source,
        "long e5rt_e5_compiler_config_options_create(void **o) { return 1; }\n",
    )
    .unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .expect("a C compiler is needed");
    assert!(built.success());
    let mut settings = settings(H16, dir.path());
    settings.apple.espresso = library.clone();
    let e = open("apple", &settings).unwrap_err().to_string();
    assert!(
        e.contains("e5rt_e5_compiler_config_options_set_cache_bundle_location"),
        "{e}"
    );
    assert!(e.contains(&*library.to_string_lossy()), "{e}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_what_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let e = apple(&file)
        .compile(&scale(H16, 2))
        .unwrap_err()
        .to_string();
    assert!(
        e.contains("file`") && e.contains("ANE_TRAINER_PROGRAMS"),
        "{e}"
    );
}

#[test]
fn weights_travel_beside_the_text() {
    let programs = tempfile::tempdir().unwrap();
    let graph = with_weights();
    let run = |device: &dyn Device| {
        let program = device.compile(&graph).unwrap();
        let (x, y) = allocate(device, &TensorType::fp16([1, 64]));
        x.copy_in(&[0.25; 64]).unwrap();
        program
            .bind(&[("x", &x), ("y", &y)])
            .unwrap()
            .execute()
            .unwrap();
        y.copy_out_bytes()
    };
    let (ours, theirs) = (run(&*apple(programs.path())), run(&*software(H16)));
    assert_eq!(ours, theirs);
}

fn with_weights() -> LegalGraph {
    let mut g = Graph::new();
    let ty = TensorType::fp16([1, 64]);
    let x = g.input("x", ty.clone()).unwrap();
    let ramp: Vec<f64> = (0..64).map(f64::from).collect();
    let w = g.constant(ane_ir::Literal::from_f64(ty, &ramp)).unwrap();
    let y = g.add(x, w).unwrap();
    g.output("y", y).unwrap();
    legal(&g, H16)
}

#[test]
fn the_cliffs_of_the_chip_hold() {
    // 32 · 35 · 35 is above what a product can be on a chip, and below what fp16 can be.
    let programs = tempfile::tempdir().unwrap();
    let mut g = Graph::new();
    let ty = TensorType::fp16([32, 32]);
    let x = g.input("x", ty.clone()).unwrap();
    let y = g.matmul(x, x, false, false).unwrap();
    g.output("y", y).unwrap();
    let graph = legal(&g, H16);
    for device in [apple(programs.path()), software(H16)] {
        let program = device.compile(&graph).unwrap();
        let (x, y) = allocate(&*device, &ty);
        x.copy_in(&[35.0; 32 * 32]).unwrap();
        program
            .bind(&[("x", &x), ("y", &y)])
            .unwrap()
            .execute()
            .unwrap();
        assert_eq!(y.copy_out(), [f32::INFINITY; 32 * 32]);
    }
}
