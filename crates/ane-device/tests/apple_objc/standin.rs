//! Devices over the stand-in, and small programs.

use ane_device::{AppleOptions, Buffer, Device, DeviceError, Executable, Settings, open};
use ane_ir::{Chip, Graph, Numerics, Route, Target, TensorType, Value, passes};
use ane_mil::LegalGraph;
use std::path::{Path, PathBuf};

pub(crate) const ROUTES: [Route; 2] = [Route::Client, Route::Memory];

pub(crate) fn target(route: Route) -> Target {
    Target::new(Chip::H16, route)
}

/// Where cargo has put the stand-in, beside the tests.
pub(crate) fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.with_file_name("libneuralengine_standin.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

pub(crate) fn settings(route: Route, programs: &Path) -> Settings {
    Settings {
        target: target(route),
        numerics: Numerics::ieee(),
        apple: AppleOptions {
            espresso: "/nowhere/Espresso".into(),
            neural_engine: library(),
            io_surface: library(),
            programs: programs.to_owned(),
            ..AppleOptions::default()
        },
        ..Settings::default()
    }
}

pub(crate) fn apple(route: Route, programs: &Path) -> Box<dyn Device> {
    let device = open("apple", &settings(route, programs)).unwrap();
    assert_eq!(device.target(), &target(route));
    assert_eq!(device.notes(), [""; 0]);
    device
}

pub(crate) fn software(route: Route) -> Box<dyn Device> {
    let settings = Settings {
        target: target(route),
        ..Settings::default()
    };
    open("software", &settings).unwrap()
}

/// The legal form of a graph.
pub(crate) fn legal(graph: &Graph, route: Route) -> LegalGraph {
    let target = target(route);
    let graph = passes::run(graph, &target, passes::LEGALIZE).unwrap();
    ane_mil::check(graph, &target).unwrap_or_else(|v| panic!("{}", v[0]))
}

/// y = a − b, and z = y + n, in narrow rows; a program of its own for every n.
pub(crate) fn difference(n: usize) -> Graph {
    let mut g = Graph::new();
    let ty = TensorType::fp16([3, 10]);
    // Neither the order of declaration nor that of names tells the operands apart in the compiled program.
    let b = g.input("b", ty.clone()).unwrap();
    let a = g.input("a", ty).unwrap();
    let y = g.sub(a, b).unwrap();
    let n = g.scalar(ane_ir::DType::Fp16, n as f64).unwrap();
    let z = g.add(y, n).unwrap();
    g.output("y", y).unwrap();
    g.output("z", z).unwrap();
    g
}

/// A buffer for every port of a graph, by the types that the graph has before it is legalized.
pub(crate) fn buffers(device: &dyn Device, graph: &Graph) -> Vec<(String, Buffer)> {
    let ports = graph.inputs().iter().chain(graph.outputs());
    let buffer = |&v: &Value| {
        let buffer = device.allocate(graph.ty(v)).unwrap();
        (graph.port(v).to_owned(), buffer)
    };
    ports.map(buffer).collect()
}

pub(crate) fn bind(
    program: &dyn Executable,
    buffers: &[(String, Buffer)],
) -> Result<Box<dyn ane_device::Bound>, DeviceError> {
    let ports: Vec<(&str, &Buffer)> = buffers.iter().map(|(n, b)| (n.as_str(), b)).collect();
    program.bind(&ports)
}

/// Runs [`difference`] and looks at what it gives.
pub(crate) fn run_difference(
    device: &dyn Device,
    route: Route,
    n: usize,
) -> Result<(), DeviceError> {
    let graph = difference(n);
    let program = device.compile(&legal(&graph, route))?;
    let buffers = buffers(device, &graph);
    let mut bound = bind(&*program, &buffers)?;
    check_difference(&mut *bound, &buffers, n)
}

pub(crate) fn check_difference(
    bound: &mut dyn ane_device::Bound,
    buffers: &[(String, Buffer)],
    n: usize,
) -> Result<(), DeviceError> {
    let of = |name: &str| &buffers.iter().find(|(n, _)| n == name).unwrap().1;
    let ramp: Vec<f32> = (0..30).map(|i| i as f32).collect();
    of("a").copy_in(&ramp).unwrap();
    of("b").copy_in(&[0.5; 30]).unwrap();
    bound.execute()?;
    let expected = |plus: f32| ramp.iter().map(|x| x - 0.5 + plus).collect::<Vec<_>>();
    assert_eq!(of("y").copy_out(), expected(0.0));
    assert_eq!(of("z").copy_out(), expected(n as f32));
    Ok(())
}

/// Entries of a directory.
pub(crate) fn entries(path: &Path) -> Vec<String> {
    std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}
