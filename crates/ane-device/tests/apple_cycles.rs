//! Programs that come and go by every route leave nothing behind: no memory, no open file, no directory, no program in
//! the engine.
//!
//! Each route has a process of its own, so that what the process holds is the route's. The Objective-C routes are there
//! with the feature `gnustep`. The long form, 10,000 programs and a bound on memory, runs under `ANE_TRAINER_SOAK`.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "apple_objc/alone.rs"]
mod alone;

use ane_device::{AppleOptions, Device, Settings, open};
use ane_ir::{Chip, DType, Graph, Numerics, Route, Target, TensorType, passes};
use ane_mil::LegalGraph;
use ane_standin::{Event, Faults};
use std::{fs, path::Path};

/// Cycles before anything is measured: tables, pools and what the stand-ins remember of past programs have grown by then.
const WARM: (usize, usize) = (1_000, 20);
/// Cycles that are measured, in the long form and in the short one.
const CYCLES: (usize, usize) = (10_000, 40);
/// Most bytes that a cycle of the long form may leave behind.
const MOST_BYTES: usize = 1024;
/// Size of a page of memory in `/proc`.
const PAGE: usize = 4096;

#[test]
fn programs_that_come_and_go_by_e5rt_leave_nothing() {
    let name = "programs_that_come_and_go_by_e5rt_leave_nothing";
    come_and_go(name, Route::E5rt);
}

#[cfg(feature = "gnustep")]
#[test]
fn programs_that_come_and_go_by_client_leave_nothing() {
    let name = "programs_that_come_and_go_by_client_leave_nothing";
    come_and_go(name, Route::Client);
}

#[cfg(feature = "gnustep")]
#[test]
fn programs_that_come_and_go_by_memory_leave_nothing() {
    let name = "programs_that_come_and_go_by_memory_leave_nothing";
    come_and_go(name, Route::Memory);
}

/// What the process and its directory hold.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    /// Open files, where the system can say.
    descriptors: Option<usize>,
    /// Files and directories below the directory for temporary files.
    entries: usize,
}

impl Held {
    fn now(directory: &Path) -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            descriptors,
            entries: entries(directory),
        }
    }
}

/// Runs the test `name` in a process and a directory of its own.
fn come_and_go(name: &str, route: Route) {
    if !alone::is_alone(name) {
        let directory = tempfile::tempdir().unwrap();
        let faults = directory.path().join("faults");
        fs::create_dir(&faults).unwrap();
        let variables = [
            ("TMPDIR", directory.path()),
            ("ANE_STANDIN_FAULTS", &*faults),
        ];
        let variables = variables.map(|(name, path)| (name, path.to_str().unwrap()));
        let output = alone::pass(name, &variables);
        // The test runner's own words may stand before it on the line.
        let text = String::from_utf8_lossy(&output.stdout);
        if let Some((_, measured)) = text.split_once("route ") {
            println!("{}", measured.lines().next().unwrap());
        }
        return;
    }
    let long = std::env::var_os("ANE_TRAINER_SOAK").is_some();
    let pick = |(of_long, of_short)| if long { of_long } else { of_short };
    let (warm, cycles): (usize, usize) = (pick(WARM), pick(CYCLES));
    let directory = std::env::temp_dir();
    let programs = directory.join("programs");
    let device = open("apple", &settings(route, &programs)).unwrap();
    assert_eq!(device.notes(), [""; 0], "another route was taken");
    for n in 0..warm {
        cycle(&*device, n);
    }
    let (before, memory) = (Held::now(&directory), resident());
    for n in warm..warm + cycles {
        cycle(&*device, n);
    }
    assert_eq!(Held::now(&directory), before);
    assert_eq!(entries(&programs), 0);
    let counts = Faults::directory(&directory.join("faults"))
        .and_then(|faults| faults.counts())
        .unwrap();
    let total = (warm + cycles) as u64;
    for event in Event::ALL {
        assert_eq!(counts.of(event), total, "{event:?}");
    }
    if let (Some(before), Some(now)) = (memory, resident()) {
        let grown = now.saturating_sub(before);
        let slope = grown / cycles;
        println!(
            "route {route}: {slope} bytes a cycle, {grown} bytes over {cycles} cycles after {warm}"
        );
        assert!(!long || slope < MOST_BYTES, "{slope} bytes a cycle");
    }
}

/// Compiles, loads, executes and unloads the program `n`, with buffers of its own.
fn cycle(device: &dyn Device, n: usize) {
    let (factor, offset) = ((1 + n % 128) as f32, (n / 128) as f32);
    let ty = TensorType::fp16([3, 10]);
    let program = device
        .compile(&line(device.target(), &ty, factor, offset))
        .unwrap();
    let (x, y) = (device.allocate(&ty).unwrap(), device.allocate(&ty).unwrap());
    let mut bound = program.bind(&[("x", &x), ("y", &y)]).unwrap();
    x.copy_in(&[1.0; 30]).unwrap();
    bound.execute().unwrap();
    assert_eq!(y.copy_out(), [factor + offset; 30]);
}

/// `y = x · factor + offset`: another text for every pair, so that no cache knows the program.
fn line(target: &Target, ty: &TensorType, factor: f32, offset: f32) -> LegalGraph {
    let mut g = Graph::new();
    let x = g.input("x", ty.clone()).unwrap();
    let factor = g.scalar(DType::Fp16, factor.into()).unwrap();
    let offset = g.scalar(DType::Fp16, offset.into()).unwrap();
    let y = g.mul(x, factor).unwrap();
    let y = g.add(y, offset).unwrap();
    g.output("y", y).unwrap();
    let graph = passes::run(&g, target, passes::LEGALIZE).unwrap();
    ane_mil::check(graph, target).unwrap_or_else(|violations| panic!("{}", violations[0]))
}

/// Settings with which `apple` is the stand-ins, by `route` and no other.
fn settings(route: Route, programs: &Path) -> Settings {
    let nowhere = || "/nowhere".into();
    let mut apple = AppleOptions {
        espresso: nowhere(),
        neural_engine: nowhere(),
        io_surface: nowhere(),
        programs: programs.to_owned(),
        ..AppleOptions::default()
    };
    match route {
        Route::E5rt => apple.espresso = espresso_standin::library_path().unwrap(),
        Route::Client | Route::Memory => {
            apple.neural_engine = neuralengine_standin::library_path().unwrap();
            apple.io_surface = apple.neural_engine.clone();
        }
    }
    Settings {
        target: Target::new(Chip::H16, route),
        numerics: Numerics::ieee(),
        apple,
        ..Settings::default()
    }
}

/// Files and directories at every depth below `directory`.
fn entries(directory: &Path) -> usize {
    let count = |entry: fs::DirEntry| {
        let below = entry.file_type().unwrap().is_dir();
        1 + if below { entries(&entry.path()) } else { 0 }
    };
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| count(entry.unwrap())).sum()
}

/// Resident memory in bytes, where the system can say.
fn resident() -> Option<usize> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}
