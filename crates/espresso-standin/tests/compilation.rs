//! Where programs run, for which chip, and when they are compiled again.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/world.rs"]
mod world;

use ane_ir::{Chip, Graph, Literal, Target, TensorType};
use ane_standin::{Environment, Event, Faults};
use espresso_standin::{E5rtError, Handle};
use std::{fs, path::PathBuf};
use world::{PAIR, UNLAWFUL, World, code, reason};

/// Products that can end above what chips carry.
const CLIFF: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [32, 32]> x, tensor<fp16, [32, 32]> y) {
        tensor<fp16, [32, 32]> z = matmul(x = x, y = y, transpose_x = bool(false), transpose_y = bool(false));
    } -> (z);
}";

/// An axis that only M4 and M5 take.
const LONG: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 20000]> x) {
        tensor<fp16, [1, 20000]> y = abs(x = x);
    } -> (y);
}";

fn compiled(
    w: &World,
    text: &str,
    set: impl Fn(Handle) -> Result<(), E5rtError>,
) -> Result<Handle, E5rtError> {
    let r = &w.runtime;
    let options = w.options();
    set(options).unwrap();
    r.compile(r.compiler_create(None).unwrap(), &w.written(text), options)
}

#[test]
fn the_mask_decides_whether_the_law_of_the_chip_holds() {
    let w = World::quiet();
    let r = &w.runtime;
    let with = |mask| {
        compiled(&w, UNLAWFUL, |o| {
            r.options_set_compute_device_types_mask(o, mask)
        })
    };
    assert_eq!(code(with(4)), 8, "the engine alone");
    assert_eq!(
        code(with(7)),
        0,
        "the engine refuses, another device is allowed"
    );
    assert_eq!(code(with(1)), 0, "the processor has no law");
    let forced = |force| {
        compiled(&w, UNLAWFUL, |o| {
            r.options_set_compute_device_types_mask(o, 5)?;
            r.options_set_force_bnns_graph(o, force)
        })
    };
    assert_eq!((code(forced(0)), code(forced(1))), (0, 0));
}

/// One element of the product under a compute mask, and whether the program counts as loaded.
fn product(w: &World, mask: u64) -> (f32, usize) {
    let r = &w.runtime;
    let library = compiled(w, CLIFF, |o| {
        r.options_set_compute_device_types_mask(o, mask)
    });
    let operation = w.try_operation(library.unwrap(), "main").unwrap();
    let buffers = [(); 3].map(|()| r.buffer_alloc(2048, 0).unwrap());
    for (buffer, bits) in buffers.iter().zip([0x4400_u16, 0x5CB0, 0]) {
        let memory = r.buffer_memory(*buffer).unwrap();
        memory.write_u16(|x| x.fill(bits));
    }
    w.bind(operation, "x", true, buffers[0]);
    w.bind(operation, "y", true, buffers[1]);
    w.bind(operation, "z", false, buffers[2]);
    w.run(r.stream_create(), &[operation]).unwrap();
    let element = r.buffer_memory(buffers[2]).unwrap();
    let mut out = [0.0];
    element.read_u16(|x| {
        ane_engine::simd::widen(ane_engine::simd::Isa::detect(), &x[..1], &mut out);
    });
    let loaded = r.loaded();
    r.operation_release(operation).unwrap();
    (out[0], loaded)
}

#[test]
fn the_engine_has_its_cliffs_and_its_limit_and_the_processor_has_neither() {
    let w = World::quiet();
    // 32 · 4 · 300 lies between the cliff of every chip and the largest number of fp16.
    assert_eq!(product(&w, 4), (f32::INFINITY, 1));
    assert_eq!(product(&w, 7), (f32::INFINITY, 1));
    assert_eq!(product(&w, 1), (38_400.0, 0));
}

#[test]
fn the_architecture_is_the_one_that_is_named_or_silently_the_hosts() {
    let w = World::new(Environment {
        chip: Chip::H13,
        threads: 1,
        ..Environment::default()
    });
    let r = &w.runtime;
    let with = |text: &'static str| {
        compiled(&w, LONG, |o| {
            r.options_set_custom_ane_compiler_options(o, text)
        })
    };
    assert_eq!(code(with("")), 8);
    let foreign = with("TargetArchitecture=h16").unwrap();
    let said = reason(w.try_operation(foreign, "main"));
    assert_eq!(
        said,
        "the program was compiled for h16, this machine has h13"
    );
    assert_eq!(code(with("TargetArchitecture=h17g")), 0);
    let said = reason(with("TargetArchitecture=h99"));
    assert!(said.contains("h13 does not take function"), "{said}");
}

#[test]
fn functions_are_listed_in_the_order_of_the_text() {
    let w = World::quiet();
    let library = w.library(PAIR);
    let names = w.runtime.library_function_names(library, |names| {
        let names = names.iter().map(|n| n.to_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    });
    assert_eq!(names.unwrap(), ["up", "down"]);
}

/// A program with weights, in a folder of its own.
struct Weighted {
    w: World,
    cache: PathBuf,
}

impl Weighted {
    fn new(environment: Environment) -> Self {
        let w = World::new(environment);
        let cache = w.directory.path().join("caches/bundles");
        let this = Self { w, cache };
        this.write(0.0);
        this
    }

    /// The program with other weights.
    fn write(&self, first: f64) {
        let mut g = Graph::new();
        let ty = TensorType::fp16([1, 32]);
        let x = g.input("x", ty.clone()).unwrap();
        let weights: Vec<f64> = (0..32).map(|i| first + f64::from(i)).collect();
        let c = g.constant(Literal::from_f64(ty, &weights)).unwrap();
        let y = g.add(x, c).unwrap();
        g.output("y", y).unwrap();
        let target: Target = "h16".parse().unwrap();
        let program = ane_mil::print(&ane_mil::check(g, &target).unwrap());
        self.w.written(&program.text);
        let path = self.w.directory.path().join("weights.bin");
        fs::write(path, program.weights).unwrap();
    }

    fn compile(&self, force: i32) -> Result<Handle, E5rtError> {
        let r = &self.w.runtime;
        let config = r.config_create();
        r.config_set_cache_bundle_location(config, self.cache.to_str().unwrap())?;
        let compiler = r.compiler_create(Some(config))?;
        let options = self.w.options();
        r.options_set_force_recompilation(options, force)?;
        r.compile(
            compiler,
            &self.w.directory.path().join("model.mil"),
            options,
        )
    }

    fn bundles(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.cache).into_iter().flatten();
        entries.map(|e| e.unwrap().path()).collect()
    }

    /// First and last element of x + weights for x = 0.
    fn ends(&self, library: Handle) -> (u16, u16) {
        let w = &self.w;
        let operation = w.try_operation(library, "main").unwrap();
        let (x, y) = (w.buffer(0.0), w.buffer(0.0));
        w.bind(operation, "x", true, x);
        w.bind(operation, "y", false, y);
        w.run(w.runtime.stream_create(), &[operation]).unwrap();
        let memory = w.runtime.buffer_memory(y).unwrap();
        memory.read_u16(|y| (y[0], y[31]))
    }
}

#[test]
fn a_bundle_saves_compiling_until_text_or_weights_change_or_it_is_forced() {
    let p = Weighted::new(Environment::default());
    let r = &p.w.runtime;
    p.compile(0).unwrap();
    p.compile(0).unwrap();
    assert_eq!((r.compiled(), p.bundles().len()), (1, 1));
    p.compile(1).unwrap();
    assert_eq!((r.compiled(), p.bundles().len()), (2, 1));
    p.write(1.0);
    let changed = p.compile(0).unwrap();
    assert_eq!((r.compiled(), p.bundles().len()), (3, 2));
    assert_eq!(p.ends(changed), (0x3C00, 0x5000));
    // The old weights still have their bundle.
    p.write(0.0);
    let old = p.compile(0).unwrap();
    assert_eq!(r.compiled(), 3);
    assert_eq!(p.ends(old), (0x0000, 0x4FC0));
    let counts = r.environment().faults.counts().unwrap();
    assert_eq!(counts.of(Event::Compile), 3, "only compilations can fail");
}

#[test]
fn a_bundle_opens_without_the_files_it_was_made_from() {
    let p = Weighted::new(Environment::default());
    p.compile(0).unwrap();
    let [bundle] = &p.bundles()[..] else {
        panic!("{:?}", p.bundles());
    };
    fs::remove_file(p.w.directory.path().join("weights.bin")).unwrap();
    let opened = p.w.runtime.library_create(bundle).unwrap();
    assert_eq!(p.ends(opened), (0x0000, 0x4FC0));
    assert_eq!(p.w.runtime.compiled(), 1);
}

#[test]
fn a_damaged_bundle_does_not_open_and_is_made_again() {
    let p = Weighted::new(Environment::default());
    p.compile(0).unwrap();
    let bundle = p.bundles().remove(0);
    let mut weights = fs::read(bundle.join("weights.bin")).unwrap();
    *weights.last_mut().unwrap() ^= 1;
    fs::write(bundle.join("weights.bin"), weights).unwrap();
    let opened = p.w.runtime.library_create(&bundle);
    assert!(reason(opened).ends_with("text or weights have changed since"));
    let library = p.compile(0).unwrap();
    assert_eq!(p.w.runtime.compiled(), 2);
    assert_eq!(p.ends(library), (0x0000, 0x4FC0));
    p.w.runtime.library_create(&bundle).unwrap();
}

#[test]
fn a_failed_compilation_leaves_no_bundle() {
    let faults = Faults::planned(["compile 1 fail".parse().unwrap()]);
    let p = Weighted::new(Environment {
        faults,
        ..Environment::default()
    });
    assert_eq!(code(p.compile(0)), 12);
    assert!(p.bundles().is_empty());
    p.compile(0).unwrap();
    assert_eq!(p.bundles().len(), 1);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_with_its_path() {
    let p = Weighted::new(Environment::default());
    fs::write(p.w.directory.path().join("caches"), "a file").unwrap();
    let said = reason(p.compile(0));
    assert!(
        said.contains("cannot write `") && said.contains("caches"),
        "{said}"
    );
}
