//! Targets that read rows of 64 bytes: the host's mirrors are dense, the worker's buffers and the ports are not.

use super::{OFTEN, faulty, finish, fired, plan_of, run_of, settings};
use ane_device::{Device, DeviceError, Settings, Supervised};
use ane_ir::{Graph, TensorType};
use ane_train::step::PlanKind;

fn narrow() -> Settings {
    Settings {
        target: "h16:client".parse().unwrap(),
        ..settings()
    }
}

#[test]
fn ports_whose_rows_the_target_pads_train_in_a_worker_to_the_same_bits() {
    let narrow = narrow();
    for plan in [PlanKind::Split, PlanKind::Fused] {
        let dir = tempfile::tempdir().unwrap();
        let here = ane_device::open("software", &narrow).unwrap();
        let expected = finish(
            run_of(here, plan, &dir.path().join("here"), None),
            &mut |_| {},
        );
        plan_of(dir.path(), &["execute 9 crash".to_owned()]);
        let supervision = faulty::supervision(dir.path(), "serves");
        let device = Supervised::open("software", &narrow, supervision).unwrap();
        let run = run_of(Box::new(device), plan, &dir.path().join("run"), Some(OFTEN));
        assert!(finish(run, &mut |_| {}) == expected, "{plan:?}");
        assert_eq!(fired(dir.path()).len(), 1);
    }
}

#[test]
fn a_port_with_padded_rows_takes_no_buffer_with_others() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = narrow();
    let supervision = faulty::supervision(dir.path(), "serves");
    let device = Supervised::open("software", &narrow, supervision).unwrap();
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([3, 32])).unwrap();
    let y = g.abs(x).unwrap();
    g.output("y", y).unwrap();
    let legal = ane_mil::check(g, device.target()).unwrap();
    let program = device.compile(&legal).unwrap();
    let of = |dims: [usize; 2]| device.allocate(&TensorType::fp16(dims)).unwrap();
    let y = of([3, 5]);
    for wrong in [of([2, 32]), of([3, 33])] {
        let error = program.bind(&[("x", &wrong), ("y", &y)]).unwrap_err();
        assert!(matches!(error, DeviceError::PortType { .. }), "{error}");
    }
    let x = of([3, 5]);
    let values: Vec<f32> = (0..15).map(|i| i as f32 - 7.0).collect();
    x.copy_in(&values).unwrap();
    let mut bound = program.bind(&[("x", &x), ("y", &y)]).unwrap();
    bound.execute().unwrap();
    let expected: Vec<f32> = values.iter().map(|v| v.abs()).collect();
    assert_eq!(y.copy_out(), expected);
}
