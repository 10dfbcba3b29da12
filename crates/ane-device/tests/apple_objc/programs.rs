//! Programs, bindings and buffers.

use crate::standin::{
    ROUTES, apple, bind, buffers, check_difference, difference, entries, legal, run_difference,
    settings, software,
};
use ane_device::{DeviceError, open};
use ane_ir::{Graph, Literal, TensorType};

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

#[test]
fn weights_travel_as_a_file() {
    let programs = tempfile::tempdir().unwrap();
    let ty = TensorType::fp16([1, 64]);
    let mut g = Graph::new();
    let x = g.input("x", ty.clone()).unwrap();
    let ramp: Vec<f64> = (0..64).map(f64::from).collect();
    let w = g.constant(Literal::from_f64(ty, &ramp)).unwrap();
    let y = g.add(x, w).unwrap();
    g.output("y", y).unwrap();
    for route in ROUTES {
        let device = apple(route, programs.path());
        let program = device.compile(&legal(&g, route)).unwrap();
        let buffers = buffers(&*device, &g);
        buffers[0].1.copy_in(&[0.25; 64]).unwrap();
        bind(&*program, &buffers).unwrap().execute().unwrap();
        let expected: Vec<f32> = ramp.iter().map(|&w| w as f32 + 0.25).collect();
        assert_eq!(buffers[1].1.copy_out(), expected);
    }
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
