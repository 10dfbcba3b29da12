//! Devices and programs for the tests.

use ane_device::{AppleOptions, Buffer, Device, Settings, open};
use ane_ir::{
    Chip, Graph, Literal, Numerics, Route, Target, TensorType,
    passes::{self, LEGALIZE},
};
use ane_mil::LegalGraph;
use std::path::Path;

pub(crate) const H16: Target = Target {
    chip: Chip::H16,
    route: Route::E5rt,
};

/// Settings with which `apple` is the stand-in.
pub(crate) fn settings(target: Target, programs: &Path) -> Settings {
    Settings {
        target,
        numerics: Numerics::of(&target),
        apple: AppleOptions {
            espresso: espresso_standin::library_path().unwrap(),
            programs: programs.to_owned(),
            ..AppleOptions::default()
        },
        ..Settings::default()
    }
}

pub(crate) fn apple(programs: &Path) -> Box<dyn Device> {
    open("apple", &settings(H16, programs)).unwrap()
}

pub(crate) fn software(target: Target) -> Box<dyn Device> {
    open("software", &settings(target, Path::new("unused"))).unwrap()
}

/// The graph as the target takes it.
pub(crate) fn legal(graph: &Graph, target: Target) -> LegalGraph {
    let graph = passes::run(graph, &target, LEGALIZE).unwrap();
    ane_mil::check(graph, &target).unwrap_or_else(|violations| panic!("{}", violations[0]))
}

/// `y = x · factor` over 2 × 32 elements.
pub(crate) fn scale(target: Target, factor: u16) -> LegalGraph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([2, 32])).unwrap();
    let factor = Literal::from_f64(TensorType::fp16([]), &[f64::from(factor)]);
    let factor = g.constant(factor).unwrap();
    let y = g.mul(x, factor).unwrap();
    g.output("y", y).unwrap();
    legal(&g, target)
}

/// Buffers of one input and one output of the same type.
pub(crate) fn allocate(device: &dyn Device, ty: &TensorType) -> (Buffer, Buffer) {
    (device.allocate(ty).unwrap(), device.allocate(ty).unwrap())
}
